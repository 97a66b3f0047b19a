"""Pictures and networks: frames, colour, media, generators, styles and the engine that joins them."""
