"""The pages of the render server: a process of its own, and a client of the server like any other."""
