package static

import (
	"bytes"
	"fmt"
)

// scheme is one of the two appearances that the pages have. Its backgrounds are those of app.css.
type scheme struct {
	page, surface, sunken rgb
	ink                   rgb // the direction in which a colour becomes legible: black on light, white on dark
}

func light() scheme {
	return scheme{
		page:    rgb{0xf3, 0xf6, 0xf5},
		surface: rgb{0xff, 0xff, 0xff},
		sunken:  rgb{0xee, 0xf2, 0xf0},
		ink:     rgb{},
	}
}

func dark() scheme {
	return scheme{
		page:    rgb{0x0c, 0x11, 0x10},
		surface: rgb{0x14, 0x1a, 0x19},
		sunken:  rgb{0x1b, 0x23, 0x21},
		ink:     rgb{0xff, 0xff, 0xff},
	}
}

// accents are the colours that one scheme makes of the brand's accent.
type accents struct {
	fill  rgb // a button's face: the accent itself, whatever it is
	hover rgb // the face under the pointer
	on    rgb // text on either face
	edge  rgb // a button's outline, 3:1 against what is around it, so that a white button on white can be found
	text  rgb // links and focus rings, 4.5:1 against what is around them
}

// accents keeps the brand's colour wherever it can be seen and moves it only where it could not.
func (s scheme) accents(accent rgb) accents {
	on := readableOn(accent)
	return accents{
		fill:  accent,
		hover: hovered(accent, on),
		on:    on,
		edge:  legible(accent, s.ink, edgeContrast, s.page, s.surface, s.sunken),
		text:  legible(accent, s.ink, textContrast, s.page, s.surface, s.sunken),
	}
}

// readableOn is white where white can be read on the fill, else black; one of the two always reaches 4.5:1.
func readableOn(fill rgb) rgb {
	white := rgb{0xff, 0xff, 0xff}
	if contrast(fill, white) >= textContrast {
		return white
	}
	return rgb{}
}

// hovered moves the fill away from its text, which can only help, until the difference shows. Where there is no room
// to move (black, white) it goes the other way, where there is contrast to spare.
func hovered(fill, on rgb) rgb {
	away := rgb{0xff - on.r, 0xff - on.g, 0xff - on.b}
	if moved := legible(fill, away, hoverContrast, fill); contrast(moved, fill) >= hoverContrast {
		return moved
	}
	return mix(fill, on, 0.18)
}

// brandSheet writes brand.css. It is a file because the pages' content security policy forbids styles in the page.
func brandSheet(accent rgb) []byte {
	return fmt.Appendf(nil, ":root{%s}\n@media (prefers-color-scheme: dark){:root{%s}}\n",
		light().accents(accent), dark().accents(accent))
}

func (a accents) String() string {
	return fmt.Sprintf("--accent:%s;--accent-hover:%s;--on-accent:%s;--accent-edge:%s;--accent-text:%s",
		a.fill, a.hover, a.on, a.edge, a.text)
}

// mark paints Vestibule's mark, drawn in the default colours, in the brand's.
func mark(drawing []byte, accent rgb) []byte {
	painted := bytes.ReplaceAll(drawing, []byte("#ffffff"), []byte(readableOn(accent).String()))
	return bytes.ReplaceAll(painted, []byte(DefaultAccent), []byte(accent.String()))
}
