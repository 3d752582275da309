"""The interfaces that plugins of the torch runtime implement. Cards import no torch; the objects that run do."""
