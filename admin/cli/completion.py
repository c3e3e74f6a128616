"""`tenantgate completion`: a script that lets a shell complete commands, actions and options."""

from __future__ import annotations

import argparse

from admin.cli.options import add_command

_EPILOG = """\
examples:
  tenantgate completion bash > /etc/bash_completion.d/tenantgate
  source <(tenantgate completion zsh)
"""


def add_parser(subparsers: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add `completion` to the command line."""
    parser = add_command(subparsers, "completion", "print a completion script for a shell", _EPILOG)
    parser.add_argument("shell", choices=("bash", "zsh"))
    parser.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> int:
    """Print the script."""
    from admin.cli.main import build_parser

    words = dict(_words(build_parser(), ""))
    cases = "\n".join(f'    "{path}") words="{" ".join(names)}" ;;' for path, names in words.items())
    script = _BASH.replace("@CASES@", cases)
    print(script if arguments.shell == "bash" else f"autoload -U +X bashcompinit && bashcompinit\n{script}")
    return 0


def _words(parser: argparse.ArgumentParser, path: str) -> list[tuple[str, list[str]]]:
    """What may come after each way of commands: `` , `tenant`, `tenant delete`, `tenant delete --data` …"""
    names: list[str] = []
    below: list[tuple[str, list[str]]] = []
    for action in parser._actions:
        if isinstance(action, argparse._SubParsersAction):
            names += action.choices
            for name, sub in action.choices.items():
                below += _words(sub, f"{path} {name}".strip())
        else:
            options = [option for option in action.option_strings if option.startswith("--")]
            names += options
            below += [(f"{path} {option}", [str(choice) for choice in action.choices or ()]) for option in options]
            names += [str(choice) for choice in action.choices or ()] if not action.option_strings else []
    return [(path, sorted(names)), *((way, words) for way, words in below if words)]


_BASH = """\
_tenantgate() {
  local cur="${COMP_WORDS[COMP_CWORD]}" path="" words="" word i
  for ((i = 1; i < COMP_CWORD && i < 3; i++)); do
    word="${COMP_WORDS[i]}"
    case "$word" in -*) break ;; esac
    path="${path:+$path }$word"
  done
  word="${COMP_WORDS[COMP_CWORD-1]}"
  case "$word" in --*) _tenantgate_words "$path $word" ;; esac
  [ -z "$words" ] && _tenantgate_words "$path"
  [ -z "$words" ] && _tenantgate_words "${path%% *}"
  COMPREPLY=($(compgen -W "$words" -- "$cur"))
  [ ${#COMPREPLY[@]} -eq 0 ] && COMPREPLY=($(compgen -f -- "$cur"))
}
_tenantgate_words() {
  words=""
  case "$1" in
@CASES@
  esac
}
complete -o filenames -F _tenantgate tenantgate"""
