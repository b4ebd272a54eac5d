"""The service managers: what `assumed service` asks of systemd and of launchd, and the files that it gives them."""
