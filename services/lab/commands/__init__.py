"""The lab's commands: `millmark demo`, `bench` and `faults`."""
