"""Speech recognition, speech synthesis and voice activity detection."""
