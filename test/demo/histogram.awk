# Draws the latencies of two statements, two bars a bucket, and a line of
# figures for every statement.  Input: number of the statement, microseconds;
# sorted by both.  Variables: names, separated by "|", of which the first two
# are drawn; bars, a character for each of these, likewise.

function quantile(s, q) {
	return value[s, 1 + int(q * (count[s] - 1))]
}

# The least of 1, 2, 5, 10, 20, ... that is not less than x
function round_up(x,    unit) {
	for (unit = 1; unit * 10 < x; unit *= 10)
		;
	return x <= unit ? unit : x <= 2 * unit ? 2 * unit : x <= 5 * unit ? 5 * unit : 10 * unit
}

function bar(character, length_, text) {
	for (text = ""; length_ >= 0.5; length_--)
		text = text character
	return text
}

{
	value[$1, ++count[$1]] = $2
}

END {
	split(names, name, "|")
	split(bars, character, "|")
	least = quantile(1, 0.01) < quantile(2, 0.01) ? quantile(1, 0.01) : quantile(2, 0.01)
	high = quantile(1, 0.95) > quantile(2, 0.95) ? quantile(1, 0.95) : quantile(2, 0.95)
	width = round_up((high - least) / 14)
	first = int(least / width)
	last = int(high / width) + 1
	most = 0
	for (s = 1; s <= 2; s++)
		for (i = 1; i <= count[s]; i++) {
			b = int(value[s, i] / width)
			b = b < first ? first : b > last ? last : b
			n = ++share[s, b]
			if (n / count[s] > most)
				most = n / count[s]
		}
	for (s = 1; s <= 2; s++)
		printf "  %s %s\n", bar(character[s], 3), name[s]
	print ""
	for (b = first; b <= last; b++) {
		label = b == last ? b * width " us and more" : b * width " - " (b + 1) * width " us"
		for (s = 1; s <= 2; s++) {
			portion = share[s, b] / count[s]
			if (portion < 0.001 && (s == 1 || label == ""))
				continue
			figure = portion >= 0.001 ? sprintf("%.1f %%", 100 * portion) : ""
			line = sprintf("  %16s  %s %s", label, bar(character[s], 48 * portion / most), figure)
			sub(/ +$/, "", line)
			print line
			label = ""
		}
	}
	printf "\n  %-34s %9s %9s %9s\n", "", "p50", "p99", "calls"
	for (s = 1; s in name; s++)
		printf "  %-34s %6d us %6d us %9d\n", name[s], quantile(s, 0.5), quantile(s, 0.99), count[s]
}
