# Draws a feature over time as SVG: the line is what the raw events say, the
# points are what was served.  Input: what it is (event, truth or served),
# seconds, value; by time.  Variables: title, label (of the values).

# The least of 1, 2, 5, 10, 20, ... that is not less than x
function round_up(x,    unit) {
	for (unit = 1; unit * 10 < x; unit *= 10)
		;
	return x <= unit ? unit : x <= 2 * unit ? 2 * unit : x <= 5 * unit ? 5 * unit : 10 * unit
}

function x_of(seconds) { return sprintf("%.1f", left + seconds * (right - left) / span) }
function y_of(value) { return sprintf("%.1f", bottom - value * (bottom - top) / most) }

function text(x, y, anchor, size, string) {
	printf "<text x=\"%s\" y=\"%s\" text-anchor=\"%s\" font-size=\"%d\">%s</text>\n", x, y, anchor, size, string
}

function line(class, x1, y1, x2, y2) {
	printf "<line class=\"%s\" x1=\"%s\" y1=\"%s\" x2=\"%s\" y2=\"%s\"/>\n", class, x1, y1, x2, y2
}

function draw_axes(    step, i) {
	step = round_up(most / 6)
	for (i = 0; i <= most; i += step) {
		line(i ? "grid" : "axis", left, y_of(i), right, y_of(i))
		text(left - 8, y_of(i) + 4, "end", 12, i)
	}
	step = round_up(span / 15)
	for (i = 0; i <= span; i += step) {
		line("axis", x_of(i), bottom, x_of(i), bottom + 5)
		text(x_of(i), bottom + 20, "middle", 12, i)
	}
	text((left + right) / 2, bottom + 40, "middle", 13, "seconds")
	text(left, top - 14, "start", 13, label)
}

function draw_legend(x, y) {
	line("truth", x, y, x + 28, y)
	text(x + 36, y + 4, "start", 13, "recomputed from the raw events")
	printf "<circle class=\"served\" cx=\"%s\" cy=\"%s\" r=\"3\"/>\n", x + 14, y + 20
	text(x + 36, y + 24, "start", 13, "served by a lookup")
	line("event", x + 14, y + 35, x + 14, y + 45)
	text(x + 36, y + 44, "start", 13, "an event")
}

{
	n[$1]++
	at[$1, n[$1]] = $2
	value[$1, n[$1]] = $3
	span = $2
	if ($1 != "event" && $3 > most)
		most = $3
}

END {
	width = 960
	height = 460
	left = 60
	right = width - 20
	top = 70
	bottom = height - 70
	most = round_up(most / 6) * int(1.1 * most / round_up(most / 6) + 1)

	printf "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"%d\" height=\"%d\" viewBox=\"0 0 %d %d\" font-family=\"sans-serif\">\n", width, height, width, height
	print "<style>"
	print ".grid { stroke: #e0e0e0 } .axis { stroke: #404040 } .event { stroke: #808080 } .stop { stroke: #808080; stroke-dasharray: 4 4 }"
	print ".truth { stroke: #2060c0; stroke-width: 1.5; fill: none } .served { fill: #d04010 }"
	print "</style>"
	printf "<rect width=\"%d\" height=\"%d\" fill=\"#ffffff\"/>\n", width, height
	text(left, 28, "start", 17, title)
	draw_axes()
	for (i = 1; i <= n["event"]; i++)
		line("event", x_of(at["event", i]), bottom - 1, x_of(at["event", i]), bottom - 8)
	line("stop", x_of(at["event", n["event"]]), top, x_of(at["event", n["event"]]), bottom)
	text(x_of(at["event", n["event"]]) + 6, bottom - 16, "start", 12, "events stop")

	printf "<path class=\"truth\" d=\"M%s %s", x_of(at["truth", 1]), y_of(value["truth", 1])
	for (i = 2; i <= n["truth"]; i++)
		printf "H%sV%s", x_of(at["truth", i]), y_of(value["truth", i])
	print "\"/>"
	for (i = 1; i <= n["served"]; i++)
		printf "<circle class=\"served\" cx=\"%s\" cy=\"%s\" r=\"2.2\"/>\n", x_of(at["served", i]), y_of(value["served", i])
	draw_legend(right - 260, top + 14)
	print "</svg>"
}
