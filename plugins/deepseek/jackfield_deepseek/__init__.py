"""DeepSeek-V2 and V3, and MiniCPM3, as data: latent attention, with or without experts."""
