package handlers

import (
	"strings"
	"testing"
	"unicode/utf8"
)

// agents are what browsers say of themselves, and what they are to be called.
var agents = map[string]string{
	"Mozilla/5.0 (Windows NT 10.0; Win64; x64; rv:141.0) Gecko/20100101 Firefox/141.0":                                                              "Firefox on Windows",
	"Mozilla/5.0 (X11; Linux x86_64; rv:141.0) Gecko/20100101 Firefox/141.0":                                                                        "Firefox on Linux",
	"Mozilla/5.0 (Android 14; Mobile; rv:141.0) Gecko/141.0 Firefox/141.0":                                                                          "Firefox on Android",
	"Mozilla/5.0 (iPhone; CPU iPhone OS 18_5 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko) FxiOS/141.0 Mobile/15E148 Safari/605.1.15":     "Firefox on iPhone",
	"Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/139.0.0.0 Safari/537.36":                               "Chrome on Windows",
	"Mozilla/5.0 (Linux; Android 10; K) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/139.0.0.0 Mobile Safari/537.36":                               "Chrome on Android",
	"Mozilla/5.0 (X11; CrOS x86_64 14541.0.0) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/139.0.0.0 Safari/537.36":                                "Chrome on ChromeOS",
	"Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) HeadlessChrome/139.0.0.0 Safari/537.36":                                 "Chrome on Linux",
	"Mozilla/5.0 (iPad; CPU OS 18_5 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko) CriOS/139.0 Mobile/15E148 Safari/604.1":                 "Chrome on iPad",
	"Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/139.0.0.0 Safari/537.36 Edg/139.0.0.0":                 "Edge on Windows",
	"Mozilla/5.0 (Linux; Android 10; K) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/139.0.0.0 Mobile Safari/537.36 EdgA/139.0":                    "Edge on Android",
	"Mozilla/5.0 (Macintosh; Intel Mac OS X 10_15_7) AppleWebKit/605.1.15 (KHTML, like Gecko) Version/18.5 Safari/605.1.15":                         "Safari on macOS",
	"Mozilla/5.0 (iPhone; CPU iPhone OS 18_5 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko) Version/18.5 Mobile/15E148 Safari/604.1":       "Safari on iPhone",
	"Mozilla/5.0 (Linux; Android 14; SM-S921B) AppleWebKit/537.36 (KHTML, like Gecko) SamsungBrowser/26.0 Chrome/122.0.0.0 Mobile Safari/537.36":    "Samsung Internet on Android",
	"Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/138.0.0.0 Safari/537.36 OPR/122.0.0.0":                 "Opera on Windows",
	"Mozilla/5.0 (Linux; Android 10; K) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/139.0.0.0 Mobile DuckDuckGo/5 Safari/537.36":                  "DuckDuckGo on Android",
	"Mozilla/5.0 (iPhone; CPU iPhone OS 18_5 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko) Mobile/15E148 MicroMessenger/8.0 NetType/WIFI": "WeChat on iPhone",
	"Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko) Acme/1.0 Chrome/138.0.0.0 Safari/537.36":                      "Windows",
	"Mozilla/5.0 (compatible; Googlebot/2.1; +http://www.google.com/bot.html)":                                                                      "",
	"curl/8.5.0": "",
	"":           "",
	"Mozilla/5.0 (<script>alert(1)</script>; Windows) <b>/1":          "",
	strings.Repeat("Mozilla/5.0 (Windows NT 10.0) Firefox/1 ", 1_000): "Firefox on Windows",
}

func TestADeviceIsCalledByItsBrowserAndItsSystem(t *testing.T) {
	t.Parallel()
	for agent, want := range agents {
		if got := deviceLabel(agent); got != want {
			t.Errorf("%.120s: got %q, want %q", agent, got, want)
		}
	}
}

func TestALabelComesApartAsItWasPutTogether(t *testing.T) {
	t.Parallel()
	for _, browser := range browserNames {
		for _, system := range systemNames {
			gotBrowser, gotSystem := deviceParts(browser + joint + system)
			if gotBrowser != browser || gotSystem != system {
				t.Errorf("%s and %s: got %q and %q", browser, system, gotBrowser, gotSystem)
			}
		}
	}
	if browser, system := deviceParts("Windows"); browser != "Windows" || system != "" {
		t.Errorf("a label of one part: got %q and %q", browser, system)
	}
}

// known are all labels that there are.
func known() map[string]bool {
	all := map[string]bool{"": true}
	systems := []string{"iPad"}
	for _, s := range systemNames {
		systems = append(systems, s)
	}
	for _, s := range systems {
		all[s] = true
		for _, b := range browserNames {
			all[b], all[b+joint+s] = true, true
		}
	}
	return all
}

// Whatever a client says of itself, none of its own words gets into a label.
func FuzzDeviceLabel(f *testing.F) {
	for agent := range agents {
		f.Add(agent)
	}
	f.Add("Mozilla/5.0 (((((")
	f.Add("Instagram \xff/\x00 on iPad on Android/; (")
	labels := known()
	f.Fuzz(func(t *testing.T, agent string) {
		if got := deviceLabel(agent); !labels[got] || utf8.RuneCountInString(got) > 64 {
			t.Errorf("%q: got %q, which is none of ours", agent, got)
		}
	})
}
