"""Peers of scripts/bench, each a program in the environment .venv-peers. They import nothing of Millmark but what they
are asked by."""
