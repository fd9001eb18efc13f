"""What keeps a chain node running: a systemd unit, or a compose file; both run the node's start.sh."""

from __future__ import annotations

import ipaddress
from pathlib import Path

from millmark.services.files import write_whole
from millmark.services.network.flags import NodePlace
from millmark.services.network.kinds import Kind
from millmark.services.network.layout import NodeFolder

__all__ = ["build_compose", "build_unit", "write_units"]

_UNIT = """\
# systemd unit of {name}'s chain node ({kind}). Copy to /etc/systemd/system/, then:
# systemctl enable --now millmark-chain-node
# The folder and everything in it belong to the user `millmark-chain`; nobody else may read it.
[Unit]
Description=Chain node of {name} ({kind})
After=network-online.target time-sync.target
Wants=network-online.target
StartLimitIntervalSec=0

[Service]
Type=exec
User=millmark-chain
Group=millmark-chain
WorkingDirectory={folder}
Environment="NODE_PROGRAM={program}"
ExecStart=/bin/sh "{folder}/start.sh"
Restart=always
RestartSec=5
# A node program that is killed while it writes may need its whole data folder fetched again.
TimeoutStopSec=120

UMask=0077
LimitCORE=0
LimitNOFILE=65536
MemoryMax=8G
TasksMax=4096

NoNewPrivileges=yes
CapabilityBoundingSet=
AmbientCapabilities=
ProtectSystem=strict
ReadWritePaths="{folder}"
ProtectHome=read-only
PrivateTmp=yes
PrivateDevices=yes
ProtectClock=yes
ProtectControlGroups=yes
ProtectHostname=yes
ProtectKernelLogs=yes
ProtectKernelModules=yes
ProtectKernelTunables=yes
RestrictAddressFamilies=AF_INET AF_INET6 AF_UNIX AF_NETLINK
{addresses}
RestrictNamespaces=yes
RestrictRealtime=yes
RestrictSUIDSGID=yes
LockPersonality=yes
SystemCallArchitectures=native

[Install]
WantedBy=multi-user.target
"""

_COMPOSE = """\
# Chain node of {name} ({kind}) in a container: NODE_USER=$(id -u):$(id -g) docker compose up --detach
# It uses the host's network: the addresses in start.sh and at the other companies are those of this machine.
name: millmark-chain-node
services:
  chain-node:
    image: {image}
    entrypoint: [/bin/sh, /node/start.sh]
    working_dir: /node
    network_mode: host
    user: "${{NODE_USER:?set it to the user and group that own this folder, such as 1000:1000}}"
    volumes: [".:/node"]
    environment: {{NODE_PROGRAM: {command}, HOME: /node}}
    # Besu puts its native libraries there and loads them: Docker's default, noexec, would keep it from starting.
    tmpfs: ["/tmp:exec,size=256m,mode=1777,nosuid,nodev"]
    read_only: true
    cap_drop: [ALL]
    security_opt: ["no-new-privileges:true"]
    restart: unless-stopped
    stop_grace_period: 120s
    mem_limit: 8g
    pids_limit: 4096
    ulimits: {{core: 0, nofile: 65536}}
    logging: {{driver: json-file, options: {{max-size: 50m, max-file: "5"}}}}
"""

_IMAGES = {"besu": "${NODE_IMAGE:-hyperledger/besu:26.2.0}", "geth": "${NODE_IMAGE:-ethereum/client-go:v1.13.15}"}
_ANY_IMAGE = "${NODE_IMAGE:?set it to an image with the node program}"


def write_units(folder: NodeFolder, kind: Kind, place: NodePlace, program: Path | None) -> None:
    """Writes `millmark-chain-node.service` and `compose.yml` into a node's folder. Raises InputError."""
    where = folder.path.resolve()
    write_whole(where / "millmark-chain-node.service", build_unit(where, kind, place, program).encode())
    write_whole(where / "compose.yml", build_compose(kind, place).encode())


def build_unit(folder: Path, kind: Kind, place: NodePlace, program: Path | None) -> str:
    """The systemd unit of a node whose folder will stay where it is."""
    executable = program or Path("/usr/local/bin") / kind.commands[0]
    values = {
        "name": place.own.name,
        "kind": kind.name,
        "folder": str(folder),
        "program": str(executable),
        "addresses": _addresses(place),
    }
    return _UNIT.format(**{name: value.replace("%", "%%") for name, value in values.items()})  # % begins a specifier


def _addresses(place: NodePlace) -> str:
    """Whom the kernel lets the node talk to: the peers, whoever else knows its port. Programs of the company on other
    machines cannot be told from here, so nothing is refused if the node answers these."""
    if not ipaddress.ip_address(place.rpc_host).is_loopback:
        return (
            "# IPAddressDeny=any, and IPAddressAllow= with the peers and this company's own programs, if they are known"
        )
    hosts = dict.fromkeys(peer.host for peer in (place.own, *place.others))
    return f"IPAddressDeny=any\nIPAddressAllow=localhost {' '.join(hosts)}"


def build_compose(kind: Kind, place: NodePlace) -> str:
    """The compose file of a node, to be used in its folder."""
    image = _IMAGES.get(kind.name, _ANY_IMAGE)
    return _COMPOSE.format(name=place.own.name, kind=kind.name, image=image, command=kind.commands[0])
