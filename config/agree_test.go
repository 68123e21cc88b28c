package config_test

import (
	"go/ast"
	"go/parser"
	"go/token"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"

	"vestibule/config"
	"vestibule/idp"
	"vestibule/static"
	"vestibule/views"
)

// Some rules stand twice, because config may import neither the provider's client nor the pages: they refuse at start what
// they cannot use, and config says it with all the other faults. These tests hold the two together.

// faulty reports whether a key has a fault on top of a configuration without any.
func faulty(vars map[string]string, file, key string) bool {
	_, faults := config.Load(source(vars, file))
	return slices.ContainsFunc(faults, func(f config.Fault) bool { return f.Key == key })
}

// client is what the provider's client says of a configuration with these changes.
func client(change func(*idp.Config)) error {
	c := idp.Config{Issuer: "https://id.example.com", ClientID: "client", RedirectURL: "https://app.example.com/in", LogoutRedirectURL: "https://app.example.com/out"}
	change(&c)
	_, err := idp.New(c)
	return err
}

// Every plain word that the code of either package contains is tried as a parameter, so neither list can grow alone.
func TestTheProtocolsParametersAreTheSameForTheProvidersClient(t *testing.T) {
	tried, refused := 0, 0
	for _, name := range append(words(t, "."), words(t, "../idp")...) {
		err := client(func(c *idp.Config) { c.AuthorizeParams = map[string]string{name: "x"} })
		got := faulty(with("VESTIBULE_PROVIDER_AUTHORIZE_PARAMS", name+"=x"), "", "provider.authorize_params")
		if want := err != nil; got != want {
			t.Errorf("%s: refused here %v, by the provider's client %v", name, got, err)
		}
		tried++
		if err != nil {
			refused++
		}
	}
	if tried < 100 || refused < 20 { // about twelve names in either list
		t.Errorf("%d words were tried and %d refused: this looks at too little to prove anything", tried, refused)
	}
}

func TestAnAgeIsReadAsTheProvidersClientReadsIt(t *testing.T) {
	for _, age := range []string{"0", "3600", "007", "4294967295", "4294967296", "", "-1", "+1", "1.5", "1e3", "1h", " 1", "0x10"} {
		err := client(func(c *idp.Config) { c.AuthorizeParams = map[string]string{"max_age": age} })
		file := "provider: {authorize_params: {max_age: \"" + age + "\"}}"
		if got := faulty(with(), file, "provider.authorize_params"); got != (err != nil) {
			t.Errorf("%q: refused here %v, by the provider's client %v", age, got, err)
		}
	}
}

// words are the string constants of a package that could be a parameter's name.
func words(t *testing.T, folder string) []string {
	t.Helper()
	files, err := filepath.Glob(folder + "/*.go")
	if err != nil {
		t.Fatal(err)
	}
	plain, found := regexp.MustCompile(`^[A-Za-z][A-Za-z0-9_.-]*$`), map[string]bool{}
	for _, name := range files {
		if strings.HasSuffix(name, "_test.go") {
			continue
		}
		file, err := parser.ParseFile(token.NewFileSet(), name, nil, 0)
		if err != nil {
			t.Fatal(err)
		}
		ast.Inspect(file, func(n ast.Node) bool {
			if literal, is := n.(*ast.BasicLit); is && literal.Kind == token.STRING {
				if text, err := strconv.Unquote(literal.Value); err == nil && plain.MatchString(text) {
					found[text] = true
				}
			}
			return true
		})
	}
	var all []string
	for text := range found {
		all = append(all, text)
	}
	return all
}

// hosts that are on this machine, and such as only look so.
func hosts() []string {
	return []string{"localhost", "LOCALHOST", "app.localhost", "a.b.LocalHost", "127.0.0.1", "127.255.0.1", "[::1]", "[::ffff:127.0.0.1]",
		"applocalhost", "localhost.example.com", "128.0.0.1", "0.0.0.0", "10.0.0.1", "[::2]", "[::]", "id.example.com"}
}

func TestLoopbackIsTheSameForTheProvidersClient(t *testing.T) {
	for _, host := range hosts() {
		for _, address := range []string{"http://" + host, "https://" + host, "http://" + host + ":8080/pool"} {
			err := client(func(c *idp.Config) { c.Issuer = address })
			if got := faulty(with("VESTIBULE_PROVIDER_ISSUER", address), "", "provider.issuer"); got != (err != nil) {
				t.Errorf("%s as issuer: refused here %v, by the provider's client %v", address, got, err)
			}
			err = client(func(c *idp.Config) { c.RedirectURL = address + "/api/auth/sign-in-callback" })
			if got := faulty(with("VESTIBULE_PUBLIC_URL", address), "", "public_url"); got != (err != nil) {
				t.Errorf("%s as public_url: refused here %v, by the provider's client %v", address, got, err)
			}
		}
	}
}

// What passes here must not be refused later, when only the start can say so.
func FuzzAnIssuerThatPassesIsOneForTheProvidersClient(f *testing.F) {
	for _, host := range hosts() {
		f.Add("http://" + host)
	}
	for _, seed := range []string{"https://id.example.com/a/", "https://id.example.com?", "https://u@x", "https:x", "https://x#", "https://x:0", "HTTPS://X/%zz", "https://x/" + strings.Repeat("y", 2038), "https://x/" + strings.Repeat("y", 2039)} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, issuer string) {
		err := client(func(c *idp.Config) { c.Issuer = issuer })
		if !faulty(with("VESTIBULE_PROVIDER_ISSUER", issuer), "", "provider.issuer") && err != nil {
			t.Errorf("%q passes here, and the provider's client says %v", issuer, err)
		}
	})
}

func FuzzTheBrandIsTheSameForThePages(f *testing.F) {
	assets, err := static.New(static.Config{})
	if err != nil {
		f.Fatal(err)
	}
	for _, name := range []string{"", "Acme & Söhne", strings.Repeat("社", 64), strings.Repeat("社", 65), "a\u202eb", "a\xff", "a\u200db", "😀"} {
		f.Add(name, "", "")
	}
	for _, logo := range []string{"/logo.svg?v=2", "//x/y", `/\x`, "/a b", "/\"", "/'", "/<", "/é", "logo.svg", "https://cdn.example.com:8443/a#b", "https://me@x/y", "http://x/y",
		"HTTPS://X/y", "https:///y", "https:y", "https://*.x/y", "https://a;b/y", "https://[::1]/y", "https://x/%zz", "https://bücher.example/y", "https://x/" + strings.Repeat("y", 4000),
		"data:image/png;base64,AAAA", "data:image/bmp;base64,AAAA", "data:image/png,AAAA", "data:text/html;base64,AAAA", "data:image/png;base64," + strings.Repeat("A", 32<<10-22),
		"data:image/png;base64," + strings.Repeat("A", 32<<10-21), "javascript:alert(1)", "data:"} {
		f.Add("", logo, "")
	}
	for _, accent := range []string{"#0aF", "#00aaFF", "#12345", "#+12345", "red", "#日", "0b6b5d", "#fff;}b{"} {
		f.Add("", "", accent)
	}
	f.Fuzz(func(t *testing.T, name, logo, accent string) {
		_, faults := config.Load(source(with("VESTIBULE_BRAND_NAME", name, "VESTIBULE_BRAND_LOGO", logo, "VESTIBULE_BRAND_ACCENT", accent), ""))
		refused := map[string]bool{}
		for _, fault := range faults {
			if strings.Contains(fault.Problem, "control character") || strings.Contains(fault.Problem, "with a space") || strings.Contains(fault.Problem, "is over 65536") {
				return // the rule of every value, stricter than that of the pages
			}
			refused[fault.Key] = true
		}
		_, nameErr := views.New(views.Config{Brand: views.Brand{Name: name}, Assets: assets})
		_, logoErr := views.New(views.Config{Brand: views.Brand{Logo: logo}, Assets: assets})
		_, accentErr := static.New(static.Config{Accent: accent})
		for key, err := range map[string]error{"brand.name": nameErr, "brand.logo": logoErr, "brand.accent": accentErr} {
			if refused[key] != (err != nil) {
				t.Errorf("name %q, logo %q, accent %q: %s is refused here %v, by the pages %v", name, logo, accent, key, refused[key], err)
			}
		}
	})
}
