package views_test

import (
	"strings"
	"testing"
	"time"

	"vestibule/views"
)

func TestABurstIsToldAsItWas(t *testing.T) {
	v := newViews(t, views.Brand{})
	for name, tt := range map[string]struct {
		burst views.DemoBurst
		want  []string
	}{
		"one asked, some waited": {
			views.DemoBurst{Asked: 1, Waited: 49, Hit: 950, Calls: 1, Tokens: 1, First: 38 * time.Millisecond, Median: 1234 * time.Microsecond, ExpiresIn: 59 * time.Second},
			[]string{"<title>1,000 tokens, 1 call to the provider", "One asked. Who came", `aria-label="1,000 dots, one for each request; 1 asked the provider; 49 waited for that answer; 950 answered from memory"`, "38 ms", "1.2 ms", "59 s"},
		},
		"one asked, nobody waited": {views.DemoBurst{Asked: 1, Hit: 999, Calls: 1, Tokens: 1}, []string{"One asked; the others"}},
		"all from memory":          {views.DemoBurst{Hit: 1000, Tokens: 1}, []string{"1,000 tokens, 0 calls", "still lives, so the provider heard nothing"}},
		"renewed meanwhile":        {views.DemoBurst{Hit: 1000, Calls: 1, Tokens: 2}, []string{"renewed ahead of its end"}},
		"some got nothing":         {views.DemoBurst{Hit: 999, Failed: 1, Calls: 2, Tokens: 1}, []string{"999 tokens, 2 calls", "some got nothing", "1 got no token"}},
		"nobody got anything":      {views.DemoBurst{Failed: 1000, Calls: 3}, []string{"0 tokens, 3 calls", "The provider gave no token, and none"}},
	} {
		t.Run(name, func(t *testing.T) {
			page := render(t, v.DemoMachine(views.DemoMachine{Bursts: []views.DemoBurst{tt.burst}}))
			for _, want := range tt.want {
				if !strings.Contains(page, want) {
					t.Errorf("want %q on the page", want)
				}
			}
			if got := strings.Contains(page, "median"); got != (tt.burst.Tokens > 0) {
				t.Errorf("times: shown is %v, with %d tokens", got, tt.burst.Tokens)
			}
		})
	}
}

// Each request that did not come from memory is drawn by itself, once, inside the picture.
func TestThePictureHasADotForEachRequest(t *testing.T) {
	v := newViews(t, views.Brand{})
	page := render(t, v.DemoMachine(views.DemoMachine{Bursts: []views.DemoBurst{{Asked: 1, Waited: 49, Failed: 2, Hit: 948}}}))
	if got := strings.Count(page, `class="waited"`); got != 49+1 { // the legend has one
		t.Errorf("got %d dots that waited, want 49 and the legend's", got)
	}
	for _, want := range []string{`viewBox="0 0 500 200"`, `class="asked" cx="5" cy="5"`, `class="waited" cx="495" cy="5"`, `d="M15 15m`} {
		if !strings.Contains(page, want) {
			t.Errorf("want %s on the page", want)
		}
	}
}

func TestTheMachinePageNeedsNoScript(t *testing.T) {
	v := newViews(t, views.Brand{})
	page := render(t, v.DemoMachine(views.DemoMachine{MachineURL: "/machine", BurstURL: "/machine/burst", Size: 1000, AtOnce: 50}))
	if strings.Contains(page, "<script") {
		t.Error("there is a script")
	}
	for _, want := range []string{`<form method="post" action="/machine/burst">`, "Send 1,000 requests", "50 requests at a time", `href="/machine" aria-current="page"`} {
		if !strings.Contains(page, want) {
			t.Errorf("want %s on the page", want)
		}
	}
}
