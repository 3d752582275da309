"""What a plugin implements: read this folder and you can write a plugin."""
