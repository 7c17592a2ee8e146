"""Latent diffusion models: denoisers, decoders, text and image towers, schedules."""
