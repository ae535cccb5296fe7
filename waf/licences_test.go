// What is in the program is listed with its licence.

package main

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// What a licence says first, or where its sentence stands; no other may come into the program.
var licences = []struct{ name, says string }{
	{"Apache-2.0", "Apache License"},
	{"MIT", "Permission is hereby granted, free of charge, to any person obtaining a copy"},
	{"BSD", "Redistribution and use in source and binary forms"},
}

func TestEveryModuleInTheProgramIsListedWithALicenceThatIsAllowed(t *testing.T) {
	said, err := exec.Command("go", "list", "-tags", "no_fs_access", "-deps", "-f",
		"{{with .Module}}{{if .Version}}{{.Path}} {{.Version}} {{.Dir}}{{end}}{{end}}", ".").Output()
	if err != nil {
		t.Fatal(err)
	}
	lines := strings.Split(strings.TrimSpace(string(said)), "\n")
	slices.Sort(lines)
	var found []string
	for _, line := range slices.Compact(lines) {
		path, rest, more := strings.Cut(line, " ")
		if !more {
			continue
		}
		version, folder, _ := strings.Cut(rest, " ")
		text, err := os.ReadFile(filepath.Join(folder, "LICENSE"))
		if err != nil {
			t.Fatal(err)
		}
		name := "none that is allowed"
		for _, it := range licences {
			if strings.Contains(strings.Join(strings.Fields(string(text)), " "), it.says) {
				name = it.name
				break
			}
		}
		found = append(found, fmt.Sprintf("%s %s %s\n", path, version, name))
	}
	kept, err := os.ReadFile("licences.txt")
	if err != nil {
		t.Fatal(err)
	}
	if now := strings.Join(found, ""); now != string(kept) {
		t.Errorf("licences.txt is not what is built in:\n%s", now)
	}
}
