package config

import (
	"strconv"
	"strings"
)

// Fault is one thing that is wrong with a configuration. It never holds a secret.
type Fault struct {
	Key     string // session.keys; for an unknown name, that name
	Problem string // lower case, no full stop: key 2 is 16 bytes, want 32
	Hint    string // the cure; may be empty
}

// Error gives key and problem, as "session.keys: key 2 is 16 bytes, want 32".
func (f Fault) Error() string { return f.Key + ": " + f.Problem }

// Faults is everything that is wrong, in the order it was met; nothing wrong is nil.
type Faults []Fault

// has reports whether key is faulted already.
func (f Faults) has(key string) bool {
	for _, fault := range f {
		if fault.Key == key || strings.HasPrefix(fault.Key, key+"[") {
			return true
		}
	}
	return false
}

// maxShown bounds how much of an operator's text a fault repeats.
const maxShown = 60

// shorten makes a name or a choice fit to be repeated: bounded, and printable.
func shorten(text string) string {
	if len(text) > maxShown {
		text = text[:maxShown] + "…"
	}
	quoted := strconv.Quote(text)
	return quoted[1 : len(quoted)-1]
}

// suggest is the hint for an unknown name: the nearest known one, if any is near. The
// prefix is common to all of them.
func suggest(prefix, name string, known []string) string {
	best, distance := "", len(name)/3+1
	for _, k := range known {
		if len(name) > maxShown {
			break
		}
		d := editDistance(name, k)
		if strings.HasSuffix(k, "."+name) || strings.HasSuffix(k, "_"+name) { // the group was forgotten
			d = 0
		}
		if d < distance {
			best, distance = k, d
		}
	}
	if best == "" {
		return "see docs/configuration.md"
	}
	return `did you mean "` + prefix + best + `"?`
}

// editDistance is the Levenshtein distance in bytes.
func editDistance(a, b string) int {
	row := make([]int, len(b)+1) // row[j]: distance of what is read of a to b[:j]
	for j := range row {
		row[j] = j
	}
	for i := range len(a) {
		diagonal := row[0]
		row[0] = i + 1
		for j := range len(b) {
			cost := diagonal
			if a[i] != b[j] {
				cost++
			}
			diagonal = row[j+1]
			row[j+1] = min(cost, row[j]+1, row[j+1]+1)
		}
	}
	return row[len(b)]
}
