"""Cards of replies: live while they come, and finished."""
