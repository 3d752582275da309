"""What authors of plugins for the torch runtime test with."""
