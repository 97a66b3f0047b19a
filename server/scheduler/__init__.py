"""Who is served next, as a state machine: events in, instructions out."""
