package handlers

import "testing"

func TestAPageIsForWhoLikesItBetter(t *testing.T) {
	t.Parallel()
	for name, tt := range map[string]struct {
		accept []string
		want   bool
	}{
		"a browser that goes to a page":       {[]string{"text/html,application/xhtml+xml,application/xml;q=0.9,image/avif,*/*;q=0.8"}, true},
		"a bare fetch, curl":                  {[]string{"*/*"}, false},
		"nothing said":                        {nil, false},
		"a JSON client":                       {[]string{"application/json"}, false},
		"axios":                               {[]string{"application/json, text/plain, */*"}, false},
		"JSON first, a page if it must be":    {[]string{"application/json, text/html;q=0.5"}, false},
		"a page first, JSON if it must be":    {[]string{"text/html, application/json;q=0.9"}, true},
		"both alike":                          {[]string{"text/html, application/json"}, false},
		"HTML named, anything else as well":   {[]string{"text/html, */*"}, true},
		"any text":                            {[]string{"text/*"}, true},
		"anything but a page":                 {[]string{"*/*, text/html;q=0"}, false},
		"anything but JSON":                   {[]string{"*/*;q=0.1, application/json;q=0"}, true},
		"in capitals and with blanks":         {[]string{" TEXT/HTML ; charset=utf-8 ; Q=1 , */* ; q=0.1"}, true},
		"in two lines":                        {[]string{"application/json;q=0.3", "text/html;q=0.4"}, true},
		"a weight that is none":               {[]string{"text/html;q=x, application/json;q=0.1"}, false},
		"a weight that is not a number":       {[]string{"text/html;q=NaN, application/json;q=0.1"}, false},
		"a weight over the most":              {[]string{"text/html;q=9, application/json;q=0.1"}, false},
		"a type that only begins like a page": {[]string{"text/html-sandboxed"}, false},
	} {
		if got := prefersHTML(tt.accept); got != tt.want {
			t.Errorf("%s: got %v, want %v", name, got, tt.want)
		}
	}
}

func TestWhoTakesNoPageIsNoPerson(t *testing.T) {
	t.Parallel()
	for name, tt := range map[string]struct {
		accept []string
		want   bool
	}{
		"a browser that goes to a page": {[]string{"text/html,application/xhtml+xml,application/xml;q=0.9,image/avif,*/*;q=0.8"}, false},
		"curl, an old browser":          {[]string{"*/*"}, false},
		"nothing said":                  {nil, false},
		"an empty line":                 {[]string{""}, false},
		"a JSON client":                 {[]string{"application/json"}, true},
		"axios":                         {[]string{"application/json, text/plain, */*"}, false},
		"a picture":                     {[]string{"image/png,image/*;q=0.8"}, true},
		"JSON, a page if it must be":    {[]string{"application/json, text/html;q=0.1"}, false},
		"any text":                      {[]string{"text/*"}, false},
		"XHTML alone":                   {[]string{"application/xhtml+xml"}, false},
		"anything but a page":           {[]string{"*/*, text/html;q=0, application/xhtml+xml;q=0"}, true},
		"in capitals and with blanks":   {[]string{" TEXT/HTML ; charset=utf-8"}, false},
		"in two lines":                  {[]string{"application/json", "text/html"}, false},
	} {
		if got := takesNoPage(tt.accept); got != tt.want {
			t.Errorf("%s: got %v, want %v", name, got, tt.want)
		}
	}
}
