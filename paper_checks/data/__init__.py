"""What networks are trained on: images, and sequences for recurrent networks."""
