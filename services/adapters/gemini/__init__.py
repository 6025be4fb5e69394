"""Google's generateContent and embeddings, as the Gemini API and Vertex AI speak them."""
