"""What the scripts share: building, starting and asking the server."""
