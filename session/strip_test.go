package session_test

import (
	"slices"
	"testing"
)

func TestStripLeavesOutWhatIsOurs(t *testing.T) {
	t.Parallel()
	m := newHouse(t)
	for name, c := range map[string]struct{ lines, want []string }{
		"nothing":                       {nil, nil},
		"nothing of ours":               {[]string{"a=1; b=2"}, []string{"a=1; b=2"}},
		"the session among others":      {[]string{"a=1; __Host-vestibule=x; b=2"}, []string{"a=1; b=2"}},
		"chunks, pending and the note":  {[]string{"__Host-vestibule=2.x; __Host-vestibule.1=y; __Host-vestibule.p.0a=z; __Host-vestibule.o=n; a=1"}, []string{"a=1"}},
		"nothing else":                  {[]string{"__Host-vestibule=x"}, nil},
		"twice":                         {[]string{"__Host-vestibule=x; __Host-vestibule=y"}, nil},
		"on several lines":              {[]string{"__Host-vestibule=x", "a=1", "__Host-vestibule.1=y; b=2"}, []string{"a=1", "b=2"}},
		"a name that only begins alike": {[]string{"__Host-vestibule_theme=dark; __Host-vestibules=1"}, []string{"__Host-vestibule_theme=dark; __Host-vestibules=1"}},
		"our name as a value":           {[]string{"a=__Host-vestibule; __Host-vestibule=x"}, []string{"a=__Host-vestibule"}},
		"without blanks":                {[]string{"a=1;__Host-vestibule=x;b=2"}, []string{"a=1; b=2"}},
		"with odd blanks":               {[]string{"a=1;\t__Host-vestibule =x; b=\"2 3\""}, []string{"a=1; b=\"2 3\""}},
		"without a value":               {[]string{"__Host-vestibule; a"}, []string{"a"}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			before := slices.Clone(c.lines)
			if got := m.Strip(c.lines); !slices.Equal(got, c.want) {
				t.Errorf("got %q, want %q", got, c.want)
			}
			if !slices.Equal(before, c.lines) {
				t.Errorf("the lines were changed to %q", c.lines)
			}
		})
	}
}
