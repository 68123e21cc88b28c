package main

import (
	"io"
	"os"

	"golang.org/x/term"
)

// isTerminal says whether a person may be reading.
func isTerminal(w io.Writer) bool {
	f, ok := w.(*os.File)
	return ok && term.IsTerminal(int(f.Fd()))
}

// widthOf is how many columns the terminal has now: people change that while they look. 0 means that nobody knows.
func widthOf(w io.Writer) int {
	f, ok := w.(*os.File)
	if !ok {
		return 0
	}
	columns, _, err := term.GetSize(int(f.Fd()))
	if err != nil {
		return 0
	}
	return columns
}

// fitting is the beginning of a line that a terminal of that many columns shows in one row: a longer one it breaks, and "\r" takes only
// the last row away. One column stays free, because some terminals go to the next row as soon as the last one is written.
func fitting(line string, columns int) string {
	if columns <= 0 {
		return line
	}
	return line[:min(len(line), columns-1)]
}
