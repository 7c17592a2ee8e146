"""Encoders of images, how pictures become their inputs, and places in a text."""
