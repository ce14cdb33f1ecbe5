"""Writes a service in proto3 with Google's library: the messages are declared here, from the field
numbers of the schema alone. The program that the service starts is read from stdin."""

import sys

from google.protobuf import descriptor_pb2, descriptor_pool, message_factory

Field = descriptor_pb2.FieldDescriptorProto
SCALARS = {
    "text": Field.TYPE_STRING,
    "bytes": Field.TYPE_BYTES,
    "int32": Field.TYPE_INT32,
    "uint64": Field.TYPE_UINT64,
}
# Name, number, type; `*` marks a list, `map` a map with text keys.
SCHEMA = {
    "Service": "prose 1 text, container 2 Container, api 3 Api, network 4 *Network",
    "Container": "architecture 1 Descriptor, filesystem 2 bytes, init 3 Init, "
    "resources 4 Resources, config 5 ConfigDeclaration, environment 7 map:Descriptor",
    "Filesystem": "branch 1 *Branch",
    "Branch": "name 1 text, file 2 bytes|item, link 3 Link|item, filesystem 4 Filesystem|item, "
    "xattrs 5 map:bytes",
    "Link": "src 1 text, dst 2 text",
    "Init": "entry_path 1 *text, xattrs 2 map:bytes",
    "Resources": "at_init 1 Sysresources, at_most 2 Sysresources",
    "Sysresources": "cpu_period 2 uint64|?, cpu_quota 3 uint64|?, mem_limit 4 uint64|?, "
    "disk_space 5 uint64|?",
    "ConfigDeclaration": "path 1 *text, format 2 Descriptor",
    "Api": "slots 1 *Slot",
    "Slot": "port 1 int32, transport 2 Descriptor, protocol_stack 3 *Descriptor, "
    "price_per_call 4 map:Amount",
    "Amount": "n 1 text",
    "Network": "tags 1 *text, prose 2 text, formal 3 bytes, protocol_stack 4 *Descriptor",
    "Descriptor": "tags 1 *text, prose 2 text, formal 3 bytes",
}


def of_type(field, kind):
    if kind in SCALARS:
        field.type = SCALARS[kind]
    else:
        field.type, field.type_name = Field.TYPE_MESSAGE, f".celaut.{kind}"


def declare(message, name, number, kind):
    kind, _, within = kind.partition("|")
    field = message.field.add(name=name, number=int(number), label=Field.LABEL_OPTIONAL)
    if kind.startswith("map:"):
        entry = message.nested_type.add(name=name.title().replace("_", "") + "Entry")
        entry.options.map_entry = True
        entry.field.add(name="key", number=1, label=1, type=Field.TYPE_STRING)
        of_type(entry.field.add(name="value", number=2, label=1), kind[4:])
        field.label = Field.LABEL_REPEATED
        of_type(field, f"{message.name}.{entry.name}")
    elif kind.startswith("*"):
        field.label = Field.LABEL_REPEATED
        of_type(field, kind[1:])
    else:
        of_type(field, kind)
    if within == "?":
        field.proto3_optional = True
        within = f"_{name}"
    if within:
        known = [one.name for one in message.oneof_decl]
        if within not in known:
            known.append(within)
            message.oneof_decl.add(name=within)
        field.oneof_index = known.index(within)


def messages():
    file = descriptor_pb2.FileDescriptorProto(name="celaut.proto", package="celaut", syntax="proto3")
    for name, fields in SCHEMA.items():
        message = file.message_type.add(name=name)
        for field in fields.split(", "):
            declare(message, *field.split(" "))
    pool = descriptor_pool.DescriptorPool()
    pool.Add(file)
    factory = message_factory.MessageFactory(pool)
    return {
        name: factory.GetPrototype(pool.FindMessageTypeByName(f"celaut.{name}")) for name in SCHEMA
    }


def attributes(branch, mode):
    for name, value in {"mode": mode, "uid": 0, "gid": 0, "made_by": 3}.items():
        branch.xattrs[name] = str(value).encode()


def service(program):
    made = messages()
    files = made["Filesystem"]()
    directory = files.branch.add(name="bin")
    attributes(directory, 0o40755)
    hello = directory.filesystem.branch.add(name="hello", file=program)
    attributes(hello, 0o100755)
    link = directory.filesystem.branch.add(name="hi")
    link.link.src, link.link.dst = "hello", "/bin/hi"
    files.branch.add(name="empty", file=b"")
    deterministic = {"deterministic": True}

    service = made["Service"](prose="from elsewhere: größer")
    container = service.container
    container.architecture.tags.append("linux/amd64")
    container.filesystem = files.SerializeToString(**deterministic)
    container.init.entry_path.extend(["bin", "hi"])
    container.init.xattrs["args"] = b"one\0two\0"
    container.init.xattrs["env"] = b"A=b\0"
    container.resources.at_most.mem_limit = 64 << 20
    container.resources.at_most.disk_space = 0
    container.config.path.extend(["etc", "config"])
    container.environment["COLOR"].tags.append("text")
    container.environment["A_SIZE"].prose = "in metres"
    slot = service.api.slots.add(port=8080)
    slot.transport.tags.append("tcp")
    slot.protocol_stack.add(tags=["http"], prose="pages", formal=b"\0\xff")
    slot.price_per_call["call"].n = "12"
    service.network.add(tags=["bitcoin-mainnet", "bitcoin"], prose="blocks")
    return service.SerializeToString(**deterministic)


sys.stdout.buffer.write(service(sys.stdin.buffer.read()))
