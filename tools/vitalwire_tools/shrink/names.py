"""Shortens names that nothing outside can see; here those of locals, and what all kinds have in common.

Names are shared as far as they can be, because a device keeps one copy of each: parameters begin anew in every
function, private attributes in every family of classes, globals in every module. What is public gets a name of its own
that every MicroPython has in any case, so that it costs nothing and a traceback can still be read with names.json.
"""

from __future__ import annotations

import ast
import itertools
import keyword
import string
from collections.abc import Iterator

# Names that are in every MicroPython's program memory. First those that an .mpy file refers to by number
# (static_qstr_list in MicroPython's py/makeqstrdata.py), which never changes within one version of that format.
BUILT_IN = """
    ArithmeticError AssertionError AttributeError BaseException EOFError Ellipsis Exception GeneratorExit ImportError
    IndentationError IndexError KeyError KeyboardInterrupt LookupError MemoryError NameError NoneType
    NotImplementedError OSError OverflowError RuntimeError StopIteration SyntaxError SystemExit TypeError ValueError
    ZeroDivisionError abs all any append args bool builtins bytearray bytecode bytes callable chr classmethod clear
    close const copy count dict dir divmod end endswith eval exec extend find format from_bytes get getattr globals
    hasattr hash id index insert int isalpha isdigit isinstance islower isspace issubclass isupper items iter join key
    keys len list little locals lower lstrip main map micropython next object open ord pop popitem pow print range read
    readinto readline remove replace repr reverse rfind rindex round rsplit rstrip self send sep set setattr setdefault
    sort sorted split start startswith staticmethod step stop str strip sum super throw to_bytes tuple type update upper
    value values write zip
    BytesIO EACCES EADDRINUSE EAGAIN EALREADY EBADF ECONNABORTED ECONNREFUSED ECONNRESET EEXIST EHOSTUNREACH
    EINPROGRESS EINVAL EIO EISDIR ENOBUFS ENODEV ENOENT ENOMEM ENOTCONN EOPNOTSUPP EPERM ETIMEDOUT NotImplemented
    OrderedDict POLLERR POLLHUP StopAsyncIteration StringIO UnicodeError VfsFat a2b_base64 acos acosh add appendleft
    asin asinh atan atan2 atanh b2a_base64 bin byteorder ceil center chdir choice compile complex copysign cos cosh
    degrees delattr deleter deque difference difference_update disable discard dump dumps enable enumerate erf erfc
    errorcode exp expm1 fabs factorial filter floor fmod frexp fromkeys frozenset gamma getcwd getrandbits getter
    gmtime heapify heappop heappush hexlify ilistdir implementation intersection intersection_update isdisjoint
    isenabled isfinite isinf isnan issubset issuperset ldexp lgamma listdir localtime log10 log2 match maxsize md5
    mem_alloc mem_info mkdir mkfs mktime modf modify namedtuple oct opt_level popleft qstr_info radians randint
    randrange readlines reversed rmdir rpartition schedule search seed setter sha1 sin sinh sleep_ms slice splitlines
    sqrt stack_use stat statvfs sub symmetric_difference symmetric_difference_update tan tanh threshold ticks_add
    ticks_cpu time_ns trunc umount unhexlify uniform union unlink version_info
""".split()  # noqa: SIM905 - easier to read


def short_names(prefix: str = "") -> Iterator[str]:
    """Yield a, b, ..., z, aa, ab, ... behind the prefix, without Python's keywords."""
    for length in itertools.count(1):
        for letters in itertools.product(string.ascii_lowercase, repeat=length):
            name = prefix + "".join(letters)
            if not keyword.iskeyword(name):
                yield name


def is_private(name: str) -> bool:
    """Whether a name is one module's or one class's own."""
    return name.startswith("_") and not name.startswith("__") and name != "_"


def defined(body: list[ast.stmt]) -> set[str]:
    """Return the names a module binds itself."""
    names: set[str] = set()
    for statement in body:
        if isinstance(statement, ast.FunctionDef | ast.ClassDef):
            names.add(statement.name)
        else:
            names |= {n.id for n in ast.walk(statement) if isinstance(n, ast.Name) and isinstance(n.ctx, ast.Store)}
    return names


def rename(statement: ast.stmt, new: dict[str, str]) -> None:
    """Rename a module's names in one of its statements, whose locals are known to have others."""
    for node in ast.walk(statement):
        match node:
            case ast.Name():
                node.id = new.get(node.id, node.id)
            case ast.Global():
                node.names = [new.get(name, name) for name in node.names]
    if isinstance(statement, ast.FunctionDef | ast.ClassDef):
        statement.name = new.get(statement.name, statement.name)


def _parameters(arguments: ast.arguments) -> list[ast.arg]:
    rest = [a for a in (arguments.vararg, arguments.kwarg) if a]
    return arguments.posonlyargs + arguments.args + rest + arguments.kwonlyargs


def _locals(function: ast.FunctionDef) -> list[str]:
    """Return the names a function and what it holds bind, parameters first, without globals and imports."""
    names = [a.arg for a in _parameters(function.args)]
    foreign: set[str] = set()
    for node in (n for statement in function.body for n in ast.walk(statement)):
        match node:
            case ast.FunctionDef():
                names += [node.name, *(a.arg for a in _parameters(node.args))]
            case ast.Lambda():
                names += [a.arg for a in _parameters(node.args)]
            case ast.Name(ctx=ast.Store() | ast.Del()):
                names.append(node.id)
            case ast.ExceptHandler(name=str(name)):
                names.append(name)
            case ast.Global() | ast.Nonlocal():
                foreign.update(node.names)
            case ast.Import() | ast.ImportFrom():
                foreign.update((a.asname or a.name).split(".")[0] for a in node.names)
    return [name for name in dict.fromkeys(names) if name not in foreign]


def _shorten_function(function: ast.FunctionDef, keywords: set[str]) -> None:
    own = [name for name in _locals(function) if name not in keywords]
    nodes = [n for statement in function.body for n in ast.walk(statement)]
    taken = {n.id for n in nodes if isinstance(n, ast.Name)} - set(own) | keywords
    new = dict(zip(own, (name for name in short_names() if name not in taken), strict=False))
    for node in itertools.chain(nodes, _parameters(function.args)):
        match node:
            case ast.Name():
                node.id = new.get(node.id, node.id)
            case ast.arg():
                node.arg = new.get(node.arg, node.arg)
            case ast.FunctionDef():
                node.name = new.get(node.name, node.name)
            case ast.ExceptHandler(name=str(name)):
                node.name = new.get(name, name)


def shorten_locals(program: dict[str, ast.Module]) -> None:
    """Shorten local variables, and parameters that no call anywhere names."""
    keywords = {n.arg for tree in program.values() for n in ast.walk(tree) if isinstance(n, ast.keyword) and n.arg}
    for tree in program.values():
        for statement in tree.body:
            for member in statement.body if isinstance(statement, ast.ClassDef) else [statement]:
                if isinstance(member, ast.FunctionDef):
                    _shorten_function(member, keywords)
