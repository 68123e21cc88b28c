package config

import (
	"bytes"
	"errors"
	"fmt"

	"github.com/goccy/go-yaml"
	"github.com/goccy/go-yaml/ast"
	"github.com/goccy/go-yaml/parser"
)

// kind is the shape of a node.
type kind int

const (
	absent  kind = iota // no value: as if the key were not there
	scalar              // text
	list                // items
	mapping             // members
)

// node is what a source says about a key, before the key's type is known. Scalars keep
// the text as written: an identifier such as 0123 must not become a number.
type node struct {
	kind    kind
	text    string
	items   []node
	members []member
}

// member is one entry of a mapping.
type member struct {
	name  string
	value node
}

// parseYAML reads one YAML document. Errors give the line and never the file's text, which
// may hold secrets.
func parseYAML(data []byte) (node, error) {
	// Some editors begin a file with a byte order mark, which is no part of the document (YAML 1.2.2, section 5.2).
	data = bytes.TrimPrefix(data, []byte("\ufeff"))
	// Repeated names are the caller's to find: the parser's own error repeats them.
	file, err := parser.ParseBytes(data, 0, parser.AllowDuplicateMapKey())
	if err != nil {
		var fault yaml.Error
		if errors.As(err, &fault) && fault.GetToken() != nil {
			return node{}, fmt.Errorf("line %d: %s", fault.GetToken().Position.Line, fault.GetMessage())
		}
		return node{}, errors.New("is not YAML")
	}
	if len(file.Docs) > 1 {
		return node{}, errors.New("holds several documents, want one")
	}
	var root node
	for _, doc := range file.Docs {
		root, err = convert(doc.Body)
	}
	return root, err
}

func convert(n ast.Node) (node, error) {
	switch n := n.(type) {
	case nil, *ast.NullNode, *ast.CommentGroupNode:
		return node{}, nil
	case *ast.StringNode:
		return node{kind: scalar, text: n.Value}, nil
	case *ast.LiteralNode:
		return node{kind: scalar, text: n.Value.Value}, nil
	case *ast.IntegerNode, *ast.FloatNode, *ast.BoolNode, *ast.InfinityNode, *ast.NanNode:
		return node{kind: scalar, text: n.GetToken().Value}, nil
	case *ast.SequenceNode:
		return convertList(n.Values)
	case *ast.MappingNode:
		return convertMapping(n.Values)
	case *ast.MappingValueNode:
		return convertMapping([]*ast.MappingValueNode{n})
	}
	// Aliases are refused with the rest: expanding them lets a small file grow without end.
	return node{}, fmt.Errorf("line %d: tags, anchors and aliases are not read", n.GetToken().Position.Line)
}

func convertList(values []ast.Node) (node, error) {
	out := node{kind: list}
	for _, v := range values {
		item, err := convert(v)
		if err != nil {
			return node{}, err
		}
		out.items = append(out.items, item)
	}
	return out, nil
}

func convertMapping(values []*ast.MappingValueNode) (node, error) {
	out := node{kind: mapping}
	for _, v := range values {
		value, err := convert(v.Value)
		if err != nil {
			return node{}, err
		}
		name, err := convert(v.Key)
		if err != nil || name.kind != scalar {
			return node{}, fmt.Errorf("line %d: a name is plain text", v.GetToken().Position.Line)
		}
		out.members = append(out.members, member{name.text, value})
	}
	return out, nil
}
