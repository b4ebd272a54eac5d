"""The world the daemon is shown in: moto's server behind a front that makes sessions really end."""
