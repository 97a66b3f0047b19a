"""The trainer: what turns paintings, keyframes or pairs into a style."""
