#!/usr/bin/env bash
# Prints the configuration that a new installation begins with: the example without its example, that is with the tokens, grants and
# whatever else has no default commented out. Nobody may do anything until the operator has said which tokens there are and
# who may use them.
set -euo pipefail
cd "$(dirname "$0")/.."

awk '
    /^\[/ && !is_said {
        print "# As it was installed: without any token, and without a grant for anybody. At the end is an example; take the word out"
        print "# here as you write tables of that kind, or switch those of the example on (the lines that begin with a # and no space)."
        print "without = [\"token\", \"grant\"]\n"
        is_said = 1
    }
    /^[^#]/ && is_example { $0 = "#" $0 }
    /no default below this line/ { is_example = 1 }
    { print }
' systemd/chanceryd.toml
