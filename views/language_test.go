package views_test

import (
	"net/url"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/BurntSushi/toml"

	"vestibule/views"
)

func TestLanguageIsChosen(t *testing.T) {
	v := newViews(t, views.Brand{})
	tests := map[string]struct{ param, accept, want string }{
		"nothing said":                               {"", "", "en"},
		"a browser in Brazil":                        {"", "pt-BR,pt;q=0.9,en-US;q=0.8,en;q=0.7", "pt-BR"},
		"a browser in Portugal":                      {"", "pt-PT,pt;q=0.9,en;q=0.5", "pt-BR"},
		"a browser in Japan":                         {"", "ja", "ja"},
		"a browser in Indonesia":                     {"", "id-ID,id;q=0.9,en-US;q=0.8", "id"},
		"its old code":                               {"", "in", "id"},
		"a browser in China":                         {"", "zh-CN,zh;q=0.9,en;q=0.8", "zh-CN"},
		"a browser in Taiwan":                        {"", "zh-TW,zh;q=0.9,en-US;q=0.8,en;q=0.7", "zh-CN"},
		"traditional characters alone":               {"", "zh-Hant", "zh-CN"},
		"the second choice, where we lack the first": {"", "de,ja;q=0.8,en;q=0.2", "ja"},
		"a language we do not speak":                 {"", "de-DE,de", "en"},
		"weights out of order":                       {"", "en;q=0.2, ja;q=0.9", "ja"},
		"the parameter before the header":            {"ja", "pt-BR", "ja"},
		"the parameter in other letters":             {"PT-br", "", "pt-BR"},
		"the parameter with an underscore":           {"zh_CN", "", "zh-CN"},
		"a parameter we do not speak":                {"de", "ja", "ja"},
		"a parameter that is none":                   {"<script>", "ja", "ja"},
		"a header that is none":                      {"", ";;;=,,", "en"},
		"any language":                               {"", "*", "en"},
		"a parameter too long to read":               {"ja" + strings.Repeat("-x", 40), "id", "id"},
		"a header too long to read whole":            {"", "ja," + strings.Repeat("de;q=0.1,", 1000), "ja"},
		"a header without an end":                    {"", strings.Repeat("j", 10000), "en"},
		"what comes after the bound does not count":  {"", strings.Repeat("de;q=0.1,", 1000) + "ja", "en"},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			if got := v.Language(tt.param, tt.accept).Tag(); got != tt.want {
				t.Errorf("got %s, want %s", got, tt.want)
			}
		})
	}
	for param, want := range map[string]bool{"ja": true, "pt-PT": true, "": false, "de": false, "<script>": false, "ja" + strings.Repeat("-x", 40): false} {
		if l, ok := v.Chosen(param); ok != want || ok && l != v.Language(param, "") {
			t.Errorf("%q: got %s, %v, want it chosen: %v", param, l.Tag(), ok, want)
		}
	}
	if got, want := (views.Language{}).Tag(), "en"; got != want {
		t.Errorf("zero value: got %s, want %s", got, want)
	}
}

func TestLanguageLinksKeepTheRestOfTheAddress(t *testing.T) {
	v := newViews(t, views.Brand{})
	links := v.LanguageLinks(v.Language("ja", ""), "/door/login?returnTo=%2Fa%3Fb%3D1&lang=id")
	var got []string
	for _, l := range links {
		got = append(got, l.Tag)
		u, err := url.Parse(l.URL)
		if err != nil {
			t.Fatal(err)
		}
		if u.Path != "/door/login" || u.Query().Get("returnTo") != "/a?b=1" || !slices.Equal(u.Query()["lang"], []string{l.Tag}) {
			t.Errorf("%s: got %s", l.Tag, l.URL)
		}
		if want := l.Tag == "ja"; l.Current != want {
			t.Errorf("%s is current: got %v, want %v", l.Tag, l.Current, want)
		}
		if v.Language(u.Query().Get("lang"), "").Tag() != l.Tag {
			t.Errorf("%s leads to another language", l.URL)
		}
	}
	if !slices.Equal(got, tags()) {
		t.Errorf("got %v, want %v", got, tags())
	}
	if got, want := v.LanguageLinks(views.Language{}, "/%zz")[1].URL, "?lang=pt-BR"; got != want {
		t.Errorf("from an address that cannot be read: got %s, want %s", got, want)
	}
}

// Nothing may be missing, left over, empty or still in English, and a placeholder must not be lost on the way.
func TestEveryMessageExistsInEveryLanguage(t *testing.T) {
	files, err := filepath.Glob("locales/*.toml")
	if err != nil || len(files) != len(tags()) {
		t.Fatalf("got %v, %v, want one file for each of %v", files, err, tags())
	}
	english := messages(t, "en")
	placeholder := regexp.MustCompile(`\{\{.*?\}\}`)
	for _, tag := range tags() {
		translated := messages(t, tag)
		for id, original := range english {
			said, ok := translated[id]
			if !ok || strings.TrimSpace(said) == "" {
				t.Errorf("%s lacks %s", tag, id)
				continue
			}
			got, want := placeholder.FindAllString(said, -1), placeholder.FindAllString(original, -1)
			slices.Sort(got) // each language has an order of its own
			slices.Sort(want)
			if !slices.Equal(got, want) {
				t.Errorf("%s: %s has placeholders %v, want %v", tag, id, got, want)
			}
			if tag != "en" && said == original {
				t.Errorf("%s: %s is in English: %q", tag, id, said)
			}
		}
		for id := range translated {
			if _, ok := english[id]; !ok {
				t.Errorf("%s has %s, which English lacks", tag, id)
			}
		}
	}
}

// A message that no page shows is left over; views.New has refused those that pages show and no file holds.
func TestEveryMessageIsShownByAPage(t *testing.T) {
	v := newViews(t, views.Brand{Name: "Acme"})
	var shown strings.Builder
	for _, page := range every(v, views.Language{}, "") {
		root := parse(t, render(t, page))
		shown.WriteString(text(root))
		for _, nav := range find(root, "nav") {
			shown.WriteString(attr(nav, "aria-label"))
		}
	}
	filled := strings.NewReplacer("{{.Brand}}", "Acme", "{{.Browser}}", "Firefox", "{{.System}}", "Windows")
	for id, message := range messages(t, "en") {
		if !strings.Contains(shown.String(), filled.Replace(message)) {
			t.Errorf("no page shows %s: %q", id, message)
		}
	}
}

func messages(t *testing.T, tag string) map[string]string {
	t.Helper()
	content, err := os.ReadFile("locales/active." + tag + ".toml")
	if err != nil {
		t.Fatal(err)
	}
	var read map[string]string
	if err := toml.Unmarshal(content, &read); err != nil {
		t.Fatalf("%s: %v", tag, err)
	}
	return read
}

func FuzzLanguage(f *testing.F) {
	for _, seed := range [][2]string{{"ja", ""}, {"", "pt-PT,pt;q=0.9"}, {"x-y-z", "*;q=0"}, {"zh_Hant_TW", ";q=,"}, {"en-u-rg-gbzzzz", "und-x-a"}} {
		f.Add(seed[0], seed[1])
	}
	v := newViews(f, views.Brand{})
	f.Fuzz(func(t *testing.T, param, accept string) {
		if got := v.Language(param, accept).Tag(); !slices.Contains(tags(), got) {
			t.Errorf("Language(%q, %q): got %q, want one of %v", param, accept, got, tags())
		}
	})
}
