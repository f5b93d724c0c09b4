# SPDX-License-Identifier: GPL-3.0-or-later
"""What the figures were measured on. Called by tools/bench, shown on the page."""

import glob
import os
import re
import subprocess

# What the cipher libraries choose their code by.
CPU_FLAGS = ("aes", "vaes", "pclmulqdq", "vpclmulqdq", "avx2", "avx512f", "avx512_ifma",
             "avx512ifma", "gfni", "sha_ni")


def read(path):
    try:
        with open(path, encoding="utf-8") as file:
            return file.read().strip()
    except OSError:
        return ""


def output(*command):
    try:
        return subprocess.run(command, capture_output=True, text=True, check=True,
                              timeout=20).stdout.strip()
    except (OSError, subprocess.SubprocessError):
        return ""


def cpu():
    """Model, family, flags and caches of the first CPU."""
    fields = {}
    for line in read("/proc/cpuinfo").split("\n\n", 1)[0].splitlines():
        key, _, value = line.partition(":")
        fields[key.strip()] = value.strip()
    flags = set(fields.get("flags", "").split())
    caches = {}
    for index in sorted(glob.glob("/sys/devices/system/cpu/cpu0/cache/index*")):
        kind = {"Data": "d", "Instruction": "i"}.get(read(f"{index}/type"), "")
        caches[f"L{read(f'{index}/level')}{kind}"] = read(f"{index}/size")
    return {
        "model": fields.get("model name", ""),
        "family": fields.get("cpu family", ""),
        "model_number": fields.get("model", ""),
        "cpus": os.cpu_count(),
        "flags": [flag for flag in CPU_FLAGS if flag in flags],
        "hypervisor": "hypervisor" in flags,
        "caches": caches,
        "governor": read("/sys/devices/system/cpu/cpu0/cpufreq/scaling_governor"),
        "turbo": {"0": "off", "1": "on"}.get(read("/sys/devices/system/cpu/cpufreq/boost"), ""),
    }


def packages():
    """Versions of what is measured or measured against, by Debian package."""
    wanted = ("libdpdk-dev", "libipsec-mb1", "ocserv", "openconnect", "gcc")
    found = {}
    for line in output("dpkg-query", "-W", "-f=${Package} ${Version}\n", *wanted).splitlines():
        name, _, version = line.partition(" ")
        if version:
            found[name] = re.sub(r"^\d+:", "", version)
    return found


def describe(root):
    memory = re.search(r"MemTotal:\s+(\d+)", read("/proc/meminfo"))
    system = re.search(r'PRETTY_NAME="(.*)"', read("/etc/os-release"))
    changed = output("git", "-C", root, "status", "--porcelain", "--untracked-files=no")
    commit = output("git", "-C", root, "rev-parse", "--short=12", "HEAD")
    return {
        "cpu": cpu(),
        "memory_mb": int(memory.group(1)) // 1024 if memory else None,
        "kernel": os.uname().release,
        "system": system.group(1) if system else "",
        "packages": packages(),
        "commit": commit + ("+changes" if commit and changed else ""),
    }


def sentence(machine):
    """One line for the terminal."""
    processor = machine["cpu"]
    wide = [text for flag, text in (("vaes", "VAES"), ("avx512f", "AVX-512"))
            if flag in processor["flags"]]
    parts = [f"{processor['model']} (family {processor['family']})",
             f"{processor['cpus']} CPUs", *(wide or ["neither VAES nor AVX-512"]),
             f"Linux {machine['kernel']}"]
    if "libdpdk-dev" in machine["packages"]:
        parts.append(f"DPDK {machine['packages']['libdpdk-dev']}")
    return ", ".join(parts)


def hugepages_text(taken_mb):
    if not taken_mb:
        return "none"
    return f"up to {taken_mb} MB"


def rows(document):
    """The page's table of one run: (what, value)."""
    machine = document["machine"]
    processor = machine["cpu"]
    caches = ", ".join(f"{name} {size}" for name, size in processor["caches"].items())
    kind = "virtual machine" if processor["hypervisor"] else "bare metal"
    named = {"libdpdk-dev": "DPDK", "libipsec-mb1": "ipsec-mb"}
    programs = ", ".join(f"{named.get(name, name)} {version}"
                         for name, version in sorted(machine["packages"].items()))
    return [
        ("processor", f"{processor['model']}, family {processor['family']} model "
                      f"{processor['model_number']}, {processor['cpus']} CPUs, {kind}"),
        ("instructions", " ".join(processor["flags"])),
        ("caches", caches),
        ("clock", clock_text(machine, processor)),
        ("memory", f"{machine['memory_mb']} MB; huge pages while measuring: "
                   f"{hugepages_text(document.get('hugepages_mb'))}"),
        ("system", f"{machine['system']}, Linux {machine['kernel']}"),
        ("programs", programs),
        ("Penstock", f"commit {machine['commit']}, build type {document.get('buildtype')}"),
    ]


def clock_text(machine, processor):
    parts = []
    clock = machine.get("clock")
    if clock:
        parts.append(f"TSC {clock['tsc_hz'] / 1e6:.0f} MHz; the core ran at "
                     f"{clock['core_cycles_tsc_cycle']:.2f} times that")
    parts.append(f"governor {processor['governor'] or 'not shown'}")
    parts.append(f"turbo {processor['turbo'] or 'not shown'}")
    return ", ".join(parts)
