"""Reports as one self-contained page of HTML: `rendering` fills the shell that the commands share."""
