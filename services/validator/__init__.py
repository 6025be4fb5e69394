"""Answered attempts in; a result, or an order to repair the answer, out."""
