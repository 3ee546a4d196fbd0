"""Ways of choosing what is trained; one file each."""
