package config

import (
	"reflect"
	"strings"
	"time"
)

// envPrefix begins the environment name of every key.
const envPrefix = "VESTIBULE_"

// key is one row of the table that Config's tags make.
type key struct {
	path     string // provider.client_id
	env      string // VESTIBULE_PROVIDER_CLIENT_ID
	group    string // provider, empty at the top
	initial  string // the default as text
	shown    string // what the reference shows for a default that is no text
	doc      string
	required bool
	fileOnly bool
	index    []int // where the field is
}

// group is a set of keys that share the first part of their path.
type group struct{ name, doc string }

// keys lists every key in the order of the fields.
func keys() []key {
	rows, _ := table(reflect.TypeFor[Config](), "", nil)
	return rows
}

// groups lists the groups in the order of the fields.
func groups() []group {
	_, found := table(reflect.TypeFor[Config](), "", nil)
	return found
}

func table(t reflect.Type, under string, at []int) (rows []key, found []group) {
	for i := range t.NumField() {
		f := t.Field(i)
		name, index := f.Tag.Get("key"), append(at[:len(at):len(at)], i)
		if f.Type.Kind() == reflect.Struct {
			inner, _ := table(f.Type, name, index)
			rows, found = append(rows, inner...), append(found, group{name, f.Tag.Get("doc")})
			continue
		}
		path := name
		if under != "" {
			path = under + "." + name
		}
		rows = append(rows, key{
			path:     path,
			env:      envPrefix + strings.ToUpper(strings.ReplaceAll(path, ".", "_")),
			group:    under,
			initial:  f.Tag.Get("default"),
			shown:    f.Tag.Get("shown"),
			doc:      f.Tag.Get("doc"),
			required: f.Tag.Get("required") != "",
			fileOnly: f.Tag.Get("file") == "only",
			index:    index,
		})
	}
	return rows, found
}

// field points at the key's field in c.
func (k key) field(c *Config) any {
	return reflect.ValueOf(c).Elem().FieldByIndex(k.index).Addr().Interface()
}

// isBool reports whether a flag of this key may stand without a value.
func (k key) isBool() bool {
	_, is := k.field(new(Config)).(*bool)
	return is
}

// zeroAllowed reports whether the key is a duration whose default is none at all.
func (k key) zeroAllowed() bool {
	d, err := time.ParseDuration(k.initial)
	return err == nil && d == 0
}

// isEmpty reports whether a required key was left without a value.
func (k key) isEmpty(c *Config) bool {
	switch v := k.field(c).(type) {
	case *string:
		return *v == ""
	case *[]SecretRef:
		return len(*v) == 0
	}
	return false
}
