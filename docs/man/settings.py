#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-3.0-or-later
"""Fills the list of settings of penstock.json(5) from the YANG modules, so that the manual page
says what the programs check. Run by meson: settings.py TEMPLATE OUT MODULE TYPES
GROUPINGS..."""

import re
import sys

TOKEN = re.compile(r'\s+|//[^\n]*|/\*.*?\*/|"(?:[^"\\]|\\.)*"|\'[^\']*\'|[;{}]|[^\s;{}"\']+', re.S)


def tokens(text):
    for match in TOKEN.finditer(text):
        token = match.group()
        if not token.isspace() and not token.startswith(("//", "/*")):
            yield token


def unquote(token):
    return re.sub(r"\s+", " ", token[1:-1]) if token[0] in "\"'" else token


def statements(stream):
    """[(keyword, argument, [substatements])] up to the closing brace."""
    found = []
    for keyword in stream:
        if keyword == "}":
            break
        argument, token = "", next(stream)
        while token not in (";", "{"):
            if token != "+":
                argument += unquote(token)
            token = next(stream)
        found.append((keyword, argument, statements(stream) if token == "{" else []))
    return found


def one(body, keyword, default=""):
    return next((arg for key, arg, _ in body if key == keyword), default)


def sub(body, keyword):
    return next((inner for key, _, inner in body if key == keyword), [])


def roff(text):
    text = text.replace("\\", "\\e").replace("-", "\\-")
    return "\\&" + text if text[:1] in ".'" else text


class Page:
    def __init__(self, module, types, groupings):
        self.groupings = {arg: body for key, arg, body in module + groupings if key == "grouping"}
        self.types = {"pst:" + arg: body for key, arg, body in types if key == "typedef"}
        self.lines = []
        self.shown = {}  # path of the section that has the nodes of a grouping

    def kind(self, body):
        name = one(body, "type")
        inner = sub(body, "type")
        if name == "enumeration":
            return "one of " + ", ".join(arg for key, arg, _ in inner if key == "enum")
        if name == "boolean":
            return "true or false"
        number = "int" in name or name == "inet:port-number"
        limits = one(inner, "range")
        units = one(body, "units")
        if name in self.types:
            typedef = self.types[name]
            base = sub(typedef, "type")
            number = "int" in one(typedef, "type")
            limits = limits or one(base, "range")
            units = units or one(typedef, "units")
            if one(typedef, "type") == "union":
                return one(typedef, "description").split(":")[0].lower()
            if not number:
                message = [one(i, "error-message") for key, _, i in base if key == "pattern"]
                return next((m for m in message if m), "text")
        if number:
            limits = limits.replace("|", "or").replace("..", " to ")
            return " ".join(x for x in ("number", limits, units) if x)
        return {
            "string": "text",
            "inet:ip-address-no-zone": "IPv4 or IPv6 address",
            "inet:ipv4-address-no-zone": "IPv4 address",
            "inet:ipv6-address-no-zone": "IPv6 address",
            "inet:ip-prefix": "IPv4 or IPv6 network with prefix length",
            "inet:ipv4-prefix": "IPv4 network with prefix length",
            "inet:ipv6-prefix": "IPv6 network with prefix length",
        }[name]

    def leaf(self, keyword, path, body, is_key):
        notes = [self.kind(body)]
        if keyword == "leaf-list":
            notes[0] = "list: " + notes[0]
        if one(body, "mandatory") == "true" or is_key:
            notes.append("required")
        default = one(body, "default")
        if default:
            notes.append("default " + default)
        self.lines += [".TP", ".B " + roff(path), roff("(" + "; ".join(notes) + ")"), ".br",
                       roff(one(body, "description"))]
        for key, name, inner in sub(body, "type"):
            if key == "enum":
                self.lines += [".br", ".I " + roff(name), "\\(en " + roff(one(inner, "description"))]

    def nodes(self, body):
        """The nodes of a body, those of the groupings that it uses in their place."""
        found = []
        for key, arg, inner in body:
            if key == "uses":
                refined = {a: i for k, a, i in inner if k == "refine"}
                found += [(k, a, refined.get(a, []) + i)
                          for k, a, i in self.nodes(self.groupings[arg.split(":")[-1]])]
            elif key in ("leaf", "leaf-list", "container", "list"):
                found.append((key, arg, inner))
        return found

    def without_shown(self, body, path):
        """Settings that several sections have are in the first of them."""
        found = []
        for key, arg, inner in body:
            if (key, arg) != ("uses", "pss:settings"):
                found.append((key, arg, inner))
            elif arg in self.shown:
                self.lines.append(roff("All of %s, and:" % self.shown[arg]
                                       if len(self.nodes(body)) > len(self.nodes([(key, arg, inner)]))
                                       else "The same as %s." % self.shown[arg]))
            else:
                self.shown[arg] = path + "/"
                found.append((key, arg, inner))
        return found

    def walk(self, body, prefix):
        """Leaves first, then what has a section of its own."""
        key_name = one(body, "key")
        nodes = self.nodes(body)
        for key, arg, inner in nodes:
            if key in ("leaf", "leaf-list"):
                self.leaf(key, prefix + arg, inner, arg == key_name)
        for key, arg, inner in nodes:
            if key in ("container", "list"):
                path = prefix + arg + ("[]" if key == "list" else "")
                self.lines += [".SS " + roff(path), roff(one(inner, "description"))]
                at_least = one(inner, "min-elements")
                if at_least:
                    self.lines.append("At least %s, at most %s entries."
                                      % (at_least, one(inner, "max-elements", "any number of")))
                self.walk(self.without_shown(inner, path), path + "/")


def main(template, out, module, types, *groupings):
    def load(path):
        with open(path, encoding="utf-8") as file:
            return statements(tokens(file.read()))[0][2]
    body = load(module)
    page = Page(body, load(types), [node for path in groupings for node in load(path)])
    top = next(inner for key, arg, inner in body if key == "container")
    page.walk(top, "")
    with open(template, encoding="utf-8") as file:
        text = file.read()
    with open(out, "w", encoding="utf-8") as file:
        file.write(text.replace("@SETTINGS@\n", "\n".join(page.lines) + "\n"))


main(*sys.argv[1:])
