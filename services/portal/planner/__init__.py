"""The coordinator's pages, which call, plan, propose and replan, and the machine owners', which offer and agree."""
