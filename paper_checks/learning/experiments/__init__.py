"""What is trained and measured, for all claims about learning. Everything here is part of the name of a result."""
