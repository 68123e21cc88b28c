package views_test

import (
	"errors"
	"strings"
	"testing"

	"vestibule/views"
)

func TestTheBrandIsCheckedAtStart(t *testing.T) {
	tests := map[string]struct {
		brand views.Brand
		want  error
	}{
		"nothing":                            {views.Brand{}, nil},
		"a name and a path":                  {views.Brand{Name: "Acme & Söhne", Logo: "/logo.svg?v=2"}, nil},
		"an https logo":                      {views.Brand{Logo: "https://cdn.example.com/logo.svg"}, nil},
		"a data logo":                        {views.Brand{Logo: "data:image/png;base64,iVBORw0KGgo="}, nil},
		"a name of 64 characters":            {views.Brand{Name: strings.Repeat("社", 64)}, nil},
		"a name of 65":                       {views.Brand{Name: strings.Repeat("社", 65)}, views.ErrBrandName},
		"a name of two lines":                {views.Brand{Name: "A\nB"}, views.ErrBrandName},
		"a name that turns the text around":  {views.Brand{Name: "A\u202eB"}, views.ErrBrandName},
		"a name that is not UTF-8":           {views.Brand{Name: "A\xff"}, views.ErrBrandName},
		"an http logo":                       {views.Brand{Logo: "http://cdn.example.com/logo.svg"}, views.ErrLogo},
		"a logo of an unnamed scheme":        {views.Brand{Logo: "//cdn.example.com/logo.svg"}, views.ErrLogo},
		"a logo behind a backslash":          {views.Brand{Logo: `/\cdn.example.com/logo.svg`}, views.ErrLogo},
		"a logo without a host":              {views.Brand{Logo: "https:///logo.svg"}, views.ErrLogo},
		"a relative logo":                    {views.Brand{Logo: "logo.svg"}, views.ErrLogo},
		"a logo that runs":                   {views.Brand{Logo: "javascript:alert(1)"}, views.ErrLogo},
		"a data page":                        {views.Brand{Logo: "data:text/html;base64,PGI+"}, views.ErrLogo},
		"a data logo that is not base64":     {views.Brand{Logo: "data:image/svg+xml,<svg/>"}, views.ErrLogo},
		"a logo with a password":             {views.Brand{Logo: "https://me:pass@cdn.example.com/logo.svg"}, views.ErrLogo},
		"a logo that ends its attribute":     {views.Brand{Logo: `/logo.svg"><script>`}, views.ErrLogo},
		"a logo host that widens the policy": {views.Brand{Logo: "https://*.example.com/logo.svg"}, views.ErrLogo},
		"a logo host that leaves the policy": {views.Brand{Logo: "https://a;script-src/logo.svg"}, views.ErrLogo},
		"a logo of more than 32 KiB":         {views.Brand{Logo: "data:image/png;base64," + strings.Repeat("A", 32<<10)}, views.ErrLogo},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			v, err := views.New(views.Config{Brand: tt.brand, Assets: newAssets(t)})
			if !errors.Is(err, tt.want) {
				t.Fatalf("got %v, want %v", err, tt.want)
			}
			if err != nil || tt.brand.Logo == "" {
				return
			}
			root := parse(t, render(t, v.SignedOut(views.Language{}, views.SignedOut{})))
			if got := attr(find(root, "img")[0], "src"); got != tt.brand.Logo {
				t.Errorf("logo: got %q, want %q", got, tt.brand.Logo)
			}
		})
	}
	if _, err := views.New(views.Config{}); !errors.Is(err, views.ErrAssets) {
		t.Errorf("without assets: got %v, want %v", err, views.ErrAssets)
	}
}
