"""The commands of `millmark`, one module per group; each module registers its commands on the application."""
