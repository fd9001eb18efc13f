"""Peers of scripts/bench, each a program in the environment .venv-peers: they import nothing of Millmark but `answer`."""
