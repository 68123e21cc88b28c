package config

import (
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode"
)

// maxText bounds one value: as much as the largest secret.
const maxText = 64 << 10

// assign stores what a source says in a field. The faults' keys are relative to the key:
// empty, or [0].id and the like.
func assign(field any, n node) Faults {
	switch f := field.(type) {
	case *string:
		return assignText(f, n)
	case *SecretRef:
		return assignText((*string)(f), n)
	case *bool:
		return assignBool(f, n)
	case *int:
		return assignInt(f, n)
	case *time.Duration:
		return assignDuration(f, n)
	case *[]string:
		return assignList(f, n)
	case *[]SecretRef:
		return assignList(f, n)
	case *map[string]string:
		return assignPairs(f, n)
	case *[]MachineClient:
		return assignClients(f, n)
	}
	panic(fmt.Sprintf("config: a field of type %T cannot be set", field))
}

func fault(problem, hint string) Faults { return Faults{{Problem: problem, Hint: hint}} }

func assignText(f *string, n node) Faults {
	switch {
	case n.kind != scalar:
		return fault("wants one text", "write one value; quote it if it holds signs")
	case len(n.text) > maxText:
		return fault(fmt.Sprintf("is over %d bytes", maxText), "shorten it")
	case strings.ContainsFunc(n.text, unicode.IsControl):
		return fault("holds a line break or another control character", "remove it")
	case strings.TrimSpace(n.text) != n.text:
		return fault("begins or ends with a space", "remove it")
	}
	*f = n.text
	return nil
}

func assignBool(f *bool, n node) Faults {
	b, err := strconv.ParseBool(n.text)
	if n.kind != scalar || err != nil {
		return fault("is neither true nor false", "write true or false")
	}
	*f = b
	return nil
}

func assignInt(f *int, n node) Faults {
	i, err := strconv.Atoi(n.text)
	if n.kind != scalar || err != nil {
		return fault("is not a whole number", "write digits alone, such as 100")
	}
	*f = i
	return nil
}

func assignDuration(f *time.Duration, n node) Faults {
	d, err := time.ParseDuration(n.text)
	if n.kind != scalar || err != nil {
		return fault("is not a duration", "write a number and its unit, such as 90s, 5m or 720h")
	}
	*f = d
	return nil
}

// assignList takes a list, or text with commas; empty text is an empty list.
func assignList[T ~string](f *[]T, n node) Faults {
	items := n.items
	if n.kind == scalar {
		items = splitCommas(n.text)
	}
	if n.kind == mapping {
		return fault("wants a list", "write [a, b], or one text with commas")
	}
	out := make([]T, len(items))
	for i, item := range items {
		var text string
		if faults := assignText(&text, item); faults != nil {
			return fault(fmt.Sprintf("item %d %s", i+1, faults[0].Problem), faults[0].Hint)
		}
		if text == "" {
			return fault(fmt.Sprintf("item %d is empty", i+1), "remove it, or the comma too many")
		}
		out[i] = T(text)
	}
	*f = out
	return nil
}

func splitCommas(text string) []node {
	if strings.TrimSpace(text) == "" {
		return nil
	}
	var items []node
	for part := range strings.SplitSeq(text, ",") {
		items = append(items, node{kind: scalar, text: strings.TrimSpace(part)})
	}
	return items
}

// assignPairs takes a mapping of texts, or text of the form k=v,k=v.
func assignPairs(f *map[string]string, n node) Faults {
	members := n.members
	if n.kind == list {
		return fault("wants names with values", "write {name: value}, or one text as name=value")
	}
	if n.kind == scalar {
		for i, item := range splitCommas(n.text) {
			name, value, found := strings.Cut(item.text, "=")
			if !found {
				return fault(fmt.Sprintf("item %d has no equals sign", i+1), "write name=value,name=value")
			}
			members = append(members, member{name, node{kind: scalar, text: value}})
		}
	}
	out := make(map[string]string, len(members))
	for i, m := range members {
		var text string
		if faults := assignText(&text, m.value); faults != nil {
			return fault(fmt.Sprintf("item %d %s", i+1, faults[0].Problem), faults[0].Hint)
		}
		if _, twice := out[m.name]; twice || m.name == "" {
			return fault(fmt.Sprintf("item %d has no name, or the name of another", i+1), "give each a name of its own")
		}
		out[m.name] = text
	}
	*f = out
	return nil
}

func assignClients(f *[]MachineClient, n node) Faults {
	if n.kind != list {
		return fault("wants a list of clients", "give each id, secret and scopes")
	}
	var faults Faults
	out := make([]MachineClient, len(n.items))
	for i, item := range n.items {
		for _, fault := range assignClient(&out[i], item) {
			fault.Key = fmt.Sprintf("[%d]%s", i, fault.Key)
			faults = append(faults, fault)
		}
	}
	*f = out
	return faults
}

func assignClient(c *MachineClient, n node) Faults {
	if n.kind != mapping {
		return fault("wants names with values", "give id, secret and scopes")
	}
	fields := map[string]any{
		"id": &c.ID, "secret": &c.Secret, "scopes": &c.Scopes, "params": &c.Params,
		"upstream_id": &c.UpstreamID, "upstream_secret": &c.UpstreamSecret,
	}
	known := slices.Sorted(maps.Keys(fields))
	var faults Faults
	for _, m := range n.members {
		field, unset := fields[m.name]
		delete(fields, m.name) // a name given twice is unknown the second time
		if !unset {
			faults = append(faults, Fault{"." + shorten(m.name), "is not a known key, or is set twice", suggest("", m.name, known)})
			continue
		}
		for _, fault := range assign(field, m.value) {
			faults = append(faults, Fault{"." + m.name + fault.Key, fault.Problem, fault.Hint})
		}
	}
	return faults
}
