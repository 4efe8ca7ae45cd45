/*
 * expression.h
 *	  Expressions that users give as text.
 */
#ifndef FEATURESTORE_EXPRESSION_H
#define FEATURESTORE_EXPRESSION_H

#include "nodes/nodes.h"

extern Node *parse_bare_expression(const char *text);

#endif							/* FEATURESTORE_EXPRESSION_H */
