"""What plugins of the torch runtime implement. The cards import no torch; the objects that run do."""
