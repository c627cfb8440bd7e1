"""Practice server: a Realtime API of your own, on this computer, without a key."""
