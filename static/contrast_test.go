package static_test

import (
	"fmt"
	"maps"
	"math"
	"regexp"
	"strconv"
	"strings"
	"testing"

	"vestibule/static"
)

// demands are the pairs of custom properties that meet on the pages, with the ratio that WCAG 2.2 wants between them:
// 4.5 for text (1.4.3, AA), 3 for the outlines of controls and of what has the focus (1.4.11).
func demands() map[float64][][2]string {
	return map[float64][][2]string{
		4.5: {
			{"--text", "--page"}, {"--text", "--surface"}, {"--text", "--sunken"},
			{"--muted", "--page"}, {"--muted", "--surface"}, {"--muted", "--sunken"},
			{"--danger", "--sunken"},
			{"--accent-text", "--page"}, {"--accent-text", "--surface"}, {"--accent-text", "--sunken"},
			{"--on-accent", "--accent"}, {"--on-accent", "--accent-hover"},
		},
		3: {
			{"--control", "--page"}, {"--control", "--surface"},
			{"--accent-edge", "--page"}, {"--accent-edge", "--surface"},
		},
	}
}

func TestEveryAccentCanBeReadInLightAndDark(t *testing.T) {
	accents := []string{static.DefaultAccent, "#ffff00", "#000000", "#ffffff", "#777", "#767676", "#757575", "#f00", "#00f", "#0f0", "#ff69b4"}
	for r := 0; r <= 0xff; r += 0x55 {
		for g := 0; g <= 0xff; g += 0x55 {
			for b := 0; b <= 0xff; b += 0x55 {
				accents = append(accents, fmt.Sprintf("#%02x%02x%02x", r, g, b))
			}
		}
	}
	for _, accent := range accents {
		for scheme, colours := range schemes(t, accent) {
			for ratio, pairs := range demands() {
				for _, pair := range pairs {
					got := contrast(t, colours[pair[0]], colours[pair[1]])
					if got < ratio {
						t.Errorf("accent %s, %s: %s %s on %s %s: got %.2f, want %.1f", accent, scheme,
							pair[0], colours[pair[0]], pair[1], colours[pair[1]], got, ratio)
					}
				}
			}
		}
	}
}

func TestTheButtonKeepsTheBrandsColour(t *testing.T) {
	for _, accent := range []string{"#ffff00", "#000000", "#ffffff", "#0b6b5d"} {
		for scheme, colours := range schemes(t, accent) {
			if got := colours["--accent"]; got != accent {
				t.Errorf("%s: got %s, want %s", scheme, got, accent)
			}
			if colours["--accent-hover"] == accent {
				t.Errorf("%s: the button of %s looks the same under the pointer", scheme, accent)
			}
		}
	}
}

// schemes reads the colours of light and dark from the style sheets as browsers would.
func schemes(t *testing.T, accent string) map[string]map[string]string {
	t.Helper()
	a := newAssets(t, static.Config{Accent: accent})
	light, dark := map[string]string{}, map[string]string{}
	rule := regexp.MustCompile(`(?s)(@media \(prefers-color-scheme: dark\)\s*\{\s*)?:root\s*\{(.*?)\}`)
	colour := regexp.MustCompile(`(--[a-z-]+):\s*(#[0-9a-f]{6})`)
	for _, name := range []string{"app.css", "brand.css"} {
		for _, found := range rule.FindAllStringSubmatch(ask(a, "GET", a.Path(name)).Body.String(), -1) {
			into := light
			if found[1] != "" {
				into = dark
			}
			for _, property := range colour.FindAllStringSubmatch(found[2], -1) {
				into[property[1]] = property[2]
			}
		}
	}
	cascaded := maps.Clone(light)
	maps.Copy(cascaded, dark)
	return map[string]map[string]string{"light": light, "dark": cascaded}
}

// contrast is written here once more, from WCAG's text, so that it does not share a mistake with what it tests.
func contrast(t *testing.T, one, other string) float64 {
	t.Helper()
	luminance := func(hex string) float64 {
		n, err := strconv.ParseUint(strings.TrimPrefix(hex, "#"), 16, 32)
		if err != nil || len(hex) != 7 {
			t.Fatalf("colour %q: %v", hex, err)
		}
		sum := 0.0
		for i, share := range []float64{0.0722, 0.7152, 0.2126} {
			v := float64(n>>(8*i)&0xff) / 255
			if v > 0.04045 {
				v = math.Pow((v+0.055)/1.055, 2.4)
			} else {
				v /= 12.92
			}
			sum += share * v
		}
		return sum
	}
	a, b := luminance(one), luminance(other)
	return (math.Max(a, b) + 0.05) / (math.Min(a, b) + 0.05)
}

func FuzzAccent(f *testing.F) {
	for _, seed := range []string{"", "#fff", "#0b6b5d", "red", "#ggg", "#fff}", "#１２３"} {
		f.Add(seed)
	}
	form := regexp.MustCompile(`^(|#[0-9a-fA-F]{3}|#[0-9a-fA-F]{6})$`)
	sheet := regexp.MustCompile(`^[a-z:{}#0-9;()@ \n-]+$`)
	f.Fuzz(func(t *testing.T, accent string) {
		a, err := static.New(static.Config{Accent: accent})
		if got, want := err == nil, form.MatchString(accent); got != want {
			t.Fatalf("accent %q: accepted %v, want %v (%v)", accent, got, want, err)
		}
		if err == nil && !sheet.Match(ask(a, "GET", a.Path("brand.css")).Body.Bytes()) {
			t.Errorf("accent %q leaves its place in the sheet", accent)
		}
	})
}
