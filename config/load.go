package config

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"maps"
	"os"
	"regexp"
	"slices"
	"strings"
)

const (
	// maxFile bounds the configuration file.
	maxFile = 1 << 20
	// fileFlag and fileEnv name the configuration file; they are no keys of it.
	fileFlag = "config"
	fileEnv  = envPrefix + "CONFIG"
)

// Source is where Load reads from. The zero Source sets nothing but defaults.
type Source struct {
	// Args are the flags, without program and verb. --config names the file.
	Args []string
	// LookupEnv reads one variable; nil means that there are none.
	LookupEnv func(name string) (string, bool)
	// Environ lists all variables as NAME=VALUE, so that unknown VESTIBULE_ names are
	// found; nil means that only known names are looked at.
	Environ func() []string
	// ReadFile reads the file; nil means the file system. At most 1 MB is taken.
	ReadFile func(path string) ([]byte, error)
}

// Load reads file, environment and flags over the defaults, later wins, and checks the
// result. It says everything that is wrong at once. The Config is never nil, holds what
// could be read, and is fit for serving only when there are no faults.
func Load(src Source) (*Config, Faults) {
	if src.LookupEnv == nil {
		src.LookupEnv = func(string) (string, bool) { return "", false }
	}
	if src.ReadFile == nil {
		src.ReadFile = readFile
	}
	l := &loader{src: src, config: new(Config), keys: make(map[string]key)}
	for _, k := range keys() {
		l.keys[k.path] = k
		if k.initial != "" {
			assign(k.field(l.config), node{kind: scalar, text: k.initial})
		}
	}
	flags := l.readFlags()
	readable := l.loadFile(flags)
	l.loadEnvironment()
	l.loadFlags(flags)
	if readable { // else half of what validation said would be untrue
		unread := l.faults
		for _, fault := range validate(l.config) {
			if !unread.has(fault.Key) {
				l.faults = append(l.faults, fault)
			}
		}
	}
	return l.config, l.faults
}

type loader struct {
	src    Source
	config *Config
	keys   map[string]key // path → row
	faults Faults
}

func (l *loader) fault(key, problem, hint string) {
	l.faults = append(l.faults, Fault{Key: key, Problem: problem, Hint: hint})
}

// set stores a value and gives its faults the key's name.
func (l *loader) set(k key, n node) {
	for _, fault := range assign(k.field(l.config), n) {
		l.fault(k.path+fault.Key, fault.Problem, fault.Hint)
	}
}

// loadFile reports whether there was nothing to read, or it could be read.
func (l *loader) loadFile(flags []setting) bool {
	path, _ := l.src.LookupEnv(fileEnv)
	for _, f := range flags {
		if f.name == fileFlag {
			path = f.text
		}
	}
	if path == "" {
		return true
	}
	data, err := l.src.ReadFile(path)
	if err == nil && len(data) > maxFile {
		err = fmt.Errorf("is over %d bytes", maxFile)
	}
	if err != nil {
		var cause *fs.PathError
		if errors.As(err, &cause) {
			err = cause.Err
		}
		l.fault(fileFlag, fmt.Sprintf("cannot read %s: %v", shorten(path), err), "correct --config or "+fileEnv)
		return false
	}
	root, err := parseYAML(data)
	if err == nil && root.kind != mapping && root.kind != absent {
		err = errors.New("want names with values")
	}
	if err != nil {
		l.fault(fileFlag, fmt.Sprintf("%s: %v", shorten(path), err), "correct the file")
		return false
	}
	l.loadMembers("", root.members, make(map[string]bool))
	return true
}

// loadMembers goes through one level of the file; seen guards against names set twice.
func (l *loader) loadMembers(under string, members []member, seen map[string]bool) {
	for _, m := range members {
		path := under + m.name
		k, known := l.keys[path]
		switch {
		case seen[path]:
			l.fault(shorten(path), "is set twice in the file", "keep one")
		case known && m.value.kind != absent:
			l.set(k, m.value)
		case known:
		case !l.isGroup(path):
			l.fault(shorten(path), "is not a known key", suggest("", path, l.names()))
		case m.value.kind == mapping:
			l.loadMembers(path+".", m.value.members, seen)
		case m.value.kind != absent:
			l.fault(path, "wants a group of keys", "see docs/configuration.md")
		}
		seen[path] = true
	}
}

func (l *loader) isGroup(path string) bool {
	return slices.ContainsFunc(groups(), func(g group) bool { return g.name == path })
}

func (l *loader) names() []string { return slices.Sorted(maps.Keys(l.keys)) }

// loadEnvironment reads every known name, then finds the unknown ones.
func (l *loader) loadEnvironment() {
	known := map[string]bool{fileEnv: true}
	var names []string // without the prefix, for suggestions
	for _, k := range keys() {
		known[k.env] = true
		names = append(names, strings.TrimPrefix(k.env, envPrefix))
		if text, found := l.src.LookupEnv(k.env); found {
			l.setText(k, text)
		}
	}
	if l.src.Environ == nil {
		return
	}
	for _, pair := range slices.Sorted(slices.Values(l.src.Environ())) {
		name, _, _ := strings.Cut(pair, "=")
		rest, ours := strings.CutPrefix(name, envPrefix)
		if ours && !known[name] && !isServiceLink(pair) {
			l.fault(shorten(name), "is not a known name", suggest(envPrefix, rest, names))
		}
	}
}

// isServiceLink reports whether Kubernetes set this variable for a Service whose name
// begins with ours: VESTIBULE_SERVICE_HOST, VESTIBULE_PORT=tcp://… and the like. Nobody
// meant them for us. A VESTIBULE_PORT=8080 is still a mistake worth telling.
func isServiceLink(pair string) bool {
	return regexp.MustCompile(`^[A-Z0-9_]+_(SERVICE_HOST=|SERVICE_PORT(_[A-Z0-9_]+)?=\d|` +
		`PORT(_\d+_(TCP|UDP|SCTP))?=(tcp|udp|sctp)://|PORT_\d+_(TCP|UDP|SCTP)_(PROTO|PORT|ADDR)=)`).MatchString(pair)
}

// setText sets a key from a source that knows only text.
func (l *loader) setText(k key, text string) {
	if k.fileOnly {
		l.fault(k.path, "is set in the file only", "move it to the configuration file")
		return
	}
	l.set(k, node{kind: scalar, text: text})
}

// readFile reads at most one byte more than a file may have, so that Load can tell.
func readFile(path string) ([]byte, error) {
	file, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer file.Close()
	return io.ReadAll(io.LimitReader(file, maxFile+1))
}
