package config

import (
	"fmt"
	"strings"
)

// setting is one flag as given.
type setting struct{ name, text string }

// readFlags splits the arguments into known flags, and faults the rest. Of an argument
// that is no flag only the position is told: it may be a secret gone astray.
func (l *loader) readFlags() []setting {
	var out []setting
	given := make(map[string]bool)
	args := l.src.Args
	for i := 0; i < len(args); i++ {
		flag, isFlag := strings.CutPrefix(args[i], "--")
		if !isFlag || flag == "" {
			l.fault(fmt.Sprintf("argument %d", i+1), "is not a flag", "write --key=value")
			continue
		}
		name, text, hasText := strings.Cut(flag, "=")
		k, isKey := l.keys[name]
		switch next := i + 1; {
		case hasText:
		case isKey && k.isBool():
			text = "true"
		case next < len(args) && l.isValue(name, args[next]):
			text = args[next]
			i = next
		case l.knows(name):
			l.fault("--"+name, "has no value", "write --"+name+"=value")
			continue
		}
		if !l.knows(name) {
			l.fault("--"+shorten(name), "is not a known flag", suggest("--", name, append(l.names(), fileFlag)))
			continue
		}
		if given[name] {
			l.fault("--"+name, "is given twice", "keep one; a list takes commas")
		}
		given[name] = true
		out = append(out, setting{name, text})
	}
	return out
}

func (l *loader) knows(name string) bool {
	_, known := l.keys[name]
	return known || name == fileFlag
}

// isValue reports whether an argument is the value of the flag before it. Behind a flag
// we know that is anything but another one, since a secret may start with dashes.
func (l *loader) isValue(flag, arg string) bool {
	if !l.knows(flag) {
		return !strings.HasPrefix(arg, "--")
	}
	next, dashed := strings.CutPrefix(arg, "--")
	name, _, _ := strings.Cut(next, "=")
	return !dashed || !l.knows(name)
}

func (l *loader) loadFlags(flags []setting) {
	for _, f := range flags {
		if k, known := l.keys[f.name]; known {
			l.setText(k, f.text)
		}
	}
}
